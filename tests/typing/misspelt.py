"""
A misspelt name from refunc.logging, or from refunc, is an error to both checkers, although names resolve lazily.

The ignores are the test: both checkers are set to report an ignore that silences nothing.
"""

import refunc.logging
from refunc import MLLogar  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnusedImport]
from refunc.logging import MLLoger  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnusedImport]

# The class is MLflowIntegration. By attribute, because two imports would be merged, and one ignore would do for both.
refunc.logging.MLFlowIntegration()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
