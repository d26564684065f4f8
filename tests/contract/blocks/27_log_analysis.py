# Access log entries
entries = logger.get_log_entries()
recent_errors = logger.get_log_entries(level="ERROR", last_n=10)

# Filter logs
training_logs = logger.get_log_entries(
    experiment_id="exp_001",
    start_time=start_timestamp,
    tags={"phase": "training"}
)

# Export logs
logger.export_logs("experiment_logs.json", format="json")
logger.export_logs("experiment_logs.csv", format="csv")
