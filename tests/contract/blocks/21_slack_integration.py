from refunc.logging import SlackIntegration

slack = SlackIntegration(
    webhook_url="https://hooks.slack.com/...",
    channel="#ml-alerts",
    error_notifications=True,
    completion_notifications=True
)

logger = MLLogger("training")
logger.add_integration(slack)

# Errors and completion messages sent to Slack
logger.error("Training failed!")
logger.log_result("Training completed", {"final_accuracy": 0.95})
