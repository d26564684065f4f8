from refunc.logging import EpochTracker

epoch_tracker = EpochTracker(
    total_epochs=100,
    steps_per_epoch=1000,
    logger=logger
)

for epoch in range(100):
    epoch_tracker.start_epoch(epoch)
    
    for step in range(1000):
        loss = train_step()
        epoch_tracker.update_step({"loss": loss})
    
    val_acc = validate()
    epoch_tracker.end_epoch({"val_accuracy": val_acc})
