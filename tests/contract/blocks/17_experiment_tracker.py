from refunc.logging import ExperimentTracker

tracker = ExperimentTracker(
    experiment_name="image_classification",
    run_name="resnet_baseline",
    log_dir="./experiments"
)

# Setup experiment
tracker.start_run()
tracker.log_params({"lr": 0.001, "batch_size": 32})
tracker.log_tags({"model": "resnet50", "dataset": "imagenet"})

# During training
for step in range(1000):
    metrics = {"loss": current_loss, "accuracy": current_acc}
    tracker.log_metrics(metrics, step=step)

# Artifacts
tracker.log_artifact("model.pkl")
tracker.log_artifact("training_plot.png", artifact_type="plot")

# Finish
tracker.end_run(status="completed")
