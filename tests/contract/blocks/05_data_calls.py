# Hyperparameter logging
logger.log_hyperparams({
    "learning_rate": 0.001,
    "batch_size": 32,
    "optimizer": "adam",
    "model": "resnet50"
})

# Metrics logging
logger.log_metrics({
    "loss": 0.234,
    "accuracy": 0.92,
    "f1_score": 0.89
}, step=100)

# Artifact logging
logger.log_artifact("model.pkl", artifact_type="model")
logger.log_artifacts(["plot1.png", "plot2.png"], artifact_type="visualization")

# Tag management
logger.add_tags({"environment": "production", "version": "v1.2"})
logger.set_tag("experiment_type", "hyperparameter_tuning")

# Result logging
logger.log_result("final_accuracy", 0.945, metadata={"dataset": "test"})
