from refunc.logging import MLflowIntegration

# Setup MLflow tracking
mlflow_integration = MLflowIntegration(
    tracking_uri="http://localhost:5000",
    experiment_name="my_experiment"
)

logger = MLLogger("training")
logger.add_integration(mlflow_integration)

# All logging will now be sent to MLflow
logger.log_hyperparams({"lr": 0.001})
logger.log_metrics({"loss": 0.5}, step=100)
