# Basic setup
logger = MLLogger("training_run")

# Advanced setup
logger = MLLogger(
    name="experiment_001",
    level="DEBUG",
    log_dir="./experiments/logs",
    experiment_tracking=True,
    colored_output=True,
    json_logging=True,
    max_log_files=5,
    max_file_size="50MB"
)
