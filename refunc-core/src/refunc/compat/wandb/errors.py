"""The names for `from wandb.errors import ...`."""

# By the full name: under `sys.modules["wandb"]` Python loads this file as `wandb.errors`, and the classes are the same.
from refunc.compat.wandb.problems import CommError, Error, UsageError

__all__ = ["CommError", "Error", "UsageError"]
