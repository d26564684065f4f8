"""The refunc plugin for Slack; importing it imports no part of the backend."""

__all__ = ["SlackIntegration"]


class SlackIntegration:
    """
    Send errors and completed runs to a Slack channel.

    Its hooks come with the delivery work; until then it is a name that discovery finds.
    """
