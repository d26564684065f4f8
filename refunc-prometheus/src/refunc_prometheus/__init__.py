"""The refunc plugin for Prometheus; importing it imports no part of the backend."""

__all__ = ["PrometheusIntegration"]


class PrometheusIntegration:
    """
    Export the newest metrics of a run for Prometheus to scrape.

    Its hooks come with the delivery work; until then it is a name that discovery finds.
    """
