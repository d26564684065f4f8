"""The refunc plugin for Weights & Biases; importing it imports no part of the backend."""

__all__ = ["WandBIntegration"]


class WandBIntegration:
    """
    Deliver params, metrics, tags and artifacts of a run to Weights & Biases.

    Its hooks come with the delivery work; until then it is a name that discovery finds.
    """
