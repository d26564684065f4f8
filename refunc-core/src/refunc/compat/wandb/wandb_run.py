"""The name for `from wandb.wandb_run import Run`, which Lightning asks for."""

from refunc.compat.wandb.runs import Run

__all__ = ["Run"]
