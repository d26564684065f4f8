from refunc.logging import TqdmProgressTracker

with TqdmProgressTracker(total=1000, desc="Training") as progress:
    for i in range(1000):
        # Training step
        loss = train_step()
        progress.update(1, {"loss": loss, "lr": current_lr})
