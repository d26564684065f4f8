# Complex structured data
logger.info("Training step completed", 
    metrics={"loss": 0.234, "accuracy": 0.92},
    tags={"phase": "training", "model": "resnet"},
    artifacts=["checkpoint.pkl"],
    extra={"gpu_memory": "8.2GB", "batch_time": 0.15}
)
