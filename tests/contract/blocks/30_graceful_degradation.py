# Logger continues working even if integrations fail
try:
    logger.log_metrics({"accuracy": 0.95})
except Exception as e:
    logger.warning(f"Integration failed: {e}")
    # Local logging continues
