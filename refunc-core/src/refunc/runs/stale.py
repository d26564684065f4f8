"""The error of a reader whose part of the index another process has rebuilt meanwhile."""


class Stale(Exception):
    """The index no longer has the expected contents: another process has rebuilt it."""
