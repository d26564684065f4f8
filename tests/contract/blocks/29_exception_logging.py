try:
    risky_operation()
except Exception as e:
    logger.exception("Operation failed", 
        extra={"operation": "model_training", "step": current_step}
    )
    # Re-raise or handle as needed
