# Centralized integration setup
def setup_experiment_logging(experiment_name: str) -> MLLogger:
    logger = MLLogger(experiment_name)
    
    # Add integrations based on environment
    if os.getenv("MLFLOW_TRACKING_URI"):
        logger.add_integration(MLflowIntegration(...))
    
    if os.getenv("WANDB_API_KEY"):
        logger.add_integration(WandBIntegration(...))
    
    return logger
