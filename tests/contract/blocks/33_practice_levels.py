# Use appropriate levels
logger.debug("Loading data batch")           # Development info
logger.info("Starting training epoch")       # General info
logger.metric("Epoch completed", metrics)    # ML metrics
logger.warning("Low validation accuracy")    # Potential issues
logger.error("Training failed")              # Errors
logger.result("Training completed", result)  # Final results
