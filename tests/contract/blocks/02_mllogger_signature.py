class MLLogger:
    def __init__(
        self,
        name: str = "refunc",
        level: Union[int, str] = LogLevel.INFO,
        log_dir: Optional[Union[str, Path]] = None,
        experiment_tracking: bool = True,
        colored_output: bool = True,
        json_logging: bool = False,
        max_log_files: int = 10,
        max_file_size: str = "100MB"
    )
