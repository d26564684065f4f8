# Use experiment contexts for consistency
with experiment_context("image_classification", "run_001"):
    logger.log_hyperparams(params)
    
    for epoch in range(epochs):
        # Training logic
        logger.log_metrics(metrics, step=global_step)
    
    logger.log_result("final_accuracy", final_acc)
