# Good: Structured data
logger.info("Training completed", 
    metrics={"accuracy": 0.95, "loss": 0.234},
    tags={"model": "resnet", "dataset": "imagenet"}
)

# Avoid: Unstructured strings
logger.info("Training completed with accuracy 0.95 and loss 0.234")
