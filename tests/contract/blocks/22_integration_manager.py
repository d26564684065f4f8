from refunc.logging import IntegrationsManager, integration_context

# Setup multiple integrations
manager = IntegrationsManager()
manager.add_integration("mlflow", MLflowIntegration(...))
manager.add_integration("wandb", WandBIntegration(...))
manager.add_integration("slack", SlackIntegration(...))

# Use with context manager
with integration_context(manager) as integrations:
    logger = MLLogger("training")
    logger.add_integrations(integrations)
    
    # All integrations receive logs
    logger.log_metrics({"accuracy": 0.95})
