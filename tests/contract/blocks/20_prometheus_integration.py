from refunc.logging import PrometheusIntegration

prometheus = PrometheusIntegration(
    port=8000,
    namespace="ml_training"
)

logger = MLLogger("training")
logger.add_integration(prometheus)

# Metrics are automatically exported
logger.log_metrics({"loss": 0.5, "accuracy": 0.92})
