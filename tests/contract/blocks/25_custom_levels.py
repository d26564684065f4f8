from refunc.logging import LogLevel

# Using custom levels
logger.log(LogLevel.METRIC, "Custom metric", extra={"value": 0.95})
logger.log(LogLevel.EXPERIMENT, "Experiment milestone")
logger.log(LogLevel.RESULT, "Final result achieved")
