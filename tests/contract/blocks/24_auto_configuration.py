from refunc.logging import auto_configure_integrations

# Automatically detect and configure available integrations
integrations = auto_configure_integrations()
logger = MLLogger("training")
logger.add_integrations(integrations)
