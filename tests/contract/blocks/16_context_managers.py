# Progress context
with progress_context("Training", total=1000) as progress:
    for i in range(1000):
        progress.update(1, {"step": i})

# Epoch context  
with epoch_context(total_epochs=10) as epochs:
    for epoch in epochs:
        # Training logic
        epochs.log({"accuracy": current_acc})
