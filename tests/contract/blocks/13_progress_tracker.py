from refunc.logging import ProgressTracker

tracker = ProgressTracker(
    total=1000,
    description="Training",
    logger=logger
)

for i in range(1000):
    # Your processing here
    tracker.update(1, {"loss": current_loss})
    
    if i % 100 == 0:
        tracker.log_progress()

tracker.finish()
