# Start experiment
logger.start_experiment("image_classification", "experiment_001")

# End experiment
logger.end_experiment(status="completed", final_metrics={"accuracy": 0.95})

# Step tracking
logger.step()  # Increment step counter
logger.set_step(100)  # Set specific step

# Epoch tracking
logger.epoch()  # Increment epoch counter
logger.set_epoch(10)  # Set specific epoch

# Get current context
context = logger.get_experiment_context()
print(f"Experiment: {context.experiment_name}, Step: {context.step}")
