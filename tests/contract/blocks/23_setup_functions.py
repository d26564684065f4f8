from refunc.logging import setup_logging, get_logger

# Quick setup with defaults
setup_logging(level="INFO", colored=True)

# Advanced setup
setup_logging(
    level="DEBUG",
    log_dir="./logs",
    colored=True,
    json_logging=True,
    experiment_tracking=True,
    integrations={
        "mlflow": {"tracking_uri": "http://localhost:5000"},
        "slack": {"webhook_url": "https://hooks.slack.com/..."}
    }
)

# Get configured logger
logger = get_logger("my_experiment")
