from refunc.logging import MLLogger, experiment_context, progress_context

# Basic logger setup
logger = MLLogger("my_experiment")

# Simple logging
logger.info("Starting training process")
logger.metric("Training started", {"lr": 0.001, "batch_size": 32})

# Experiment tracking
with experiment_context("image_classification", "resnet_v1") as exp:
    logger.log_hyperparams({"lr": 0.001, "epochs": 100})
    
    for epoch in range(100):
        with progress_context(f"Epoch {epoch}", total=1000) as progress:
            # Training loop
            for step in range(1000):
                loss = train_step()
                progress.update({"loss": loss})
                
                if step % 100 == 0:
                    logger.log_metrics({"loss": loss, "step": step})
    
    logger.log_result("Final accuracy", 0.95)
