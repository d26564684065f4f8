"""The refunc plugin for MLflow; importing it imports no part of the backend."""

__all__ = ["MLflowIntegration"]


class MLflowIntegration:
    """
    Deliver params, metrics, tags and artifacts of a run to an MLflow tracking server.

    Its hooks come with the delivery work; until then it is a name that discovery finds.
    """
