"""
A misspelt name from refunc.logging is an error to both checkers, although integrations resolve lazily at run time.

The ignores are the test: both checkers are set to report an ignore that silences nothing.
"""

from refunc.logging import MLLoger  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnusedImport]
