@dataclass
class LogEntry:
    timestamp: float
    level: str
    message: str
    logger_name: str
    experiment_id: Optional[str] = None
    run_id: Optional[str] = None
    step: Optional[int] = None
    epoch: Optional[int] = None
    metrics: Dict[str, Any] = field(default_factory=dict)
    tags: Dict[str, str] = field(default_factory=dict)
    artifacts: List[str] = field(default_factory=list)
    extra: Dict[str, Any] = field(default_factory=dict)
