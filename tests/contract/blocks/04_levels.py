# Standard log levels
logger.trace("Detailed debugging information")
logger.debug("Debug information")
logger.info("General information")
logger.warning("Warning message")
logger.error("Error occurred")
logger.critical("Critical error")

# ML-specific levels
logger.metric("Training metric", {"accuracy": 0.92})
logger.experiment("Experiment event", {"stage": "validation"})
logger.progress("Progress update", {"completed": 75})
logger.result("Final result", {"test_accuracy": 0.95})
