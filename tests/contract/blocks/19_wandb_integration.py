from refunc.logging import WandBIntegration

# Setup W&B tracking
wandb_integration = WandBIntegration(
    project="my_project",
    entity="my_team",
    config={"lr": 0.001, "batch_size": 32}
)

logger = MLLogger("training")
logger.add_integration(wandb_integration)

# Logging automatically syncs to W&B
logger.log_metrics({"accuracy": 0.92}, step=100)
