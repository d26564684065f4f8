"""What `from wandb.wandb_run import Run` finds, which Lightning asks for."""

from refunc.compat.wandb.runs import Run

__all__ = ["Run"]
