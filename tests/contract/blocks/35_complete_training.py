from refunc.logging import MLLogger, experiment_context, progress_context

def train_model():
    logger = MLLogger("training")
    
    with experiment_context("image_classification", "resnet_v1") as exp:
        # Setup
        params = {"lr": 0.001, "batch_size": 32, "epochs": 10}
        logger.log_hyperparams(params)
        
        best_accuracy = 0
        
        for epoch in range(params["epochs"]):
            # Training phase
            with progress_context(f"Epoch {epoch}", total=1000) as progress:
                train_loss = 0
                
                for step in range(1000):
                    loss = train_step()
                    train_loss += loss
                    progress.update(1, {"loss": loss})
                    
                    if step % 100 == 0:
                        logger.log_metrics({"train_loss": loss}, step=step)
                
                avg_train_loss = train_loss / 1000
            
            # Validation phase
            val_accuracy = validate_model()
            
            # Log epoch results
            logger.log_metrics({
                "epoch": epoch,
                "train_loss": avg_train_loss,
                "val_accuracy": val_accuracy
            })
            
            # Save best model
            if val_accuracy > best_accuracy:
                best_accuracy = val_accuracy
                save_model("best_model.pkl")
                logger.log_artifact("best_model.pkl", artifact_type="model")
        
        # Final results
        logger.log_result("best_accuracy", best_accuracy)
        logger.info("Training completed successfully")

if __name__ == "__main__":
    train_model()
