"""
The errors of reading runs, in one tree.

    RunError
    ├── RunFormatError                          a folder cannot be read as a run, or a newer refunc wrote it
    ├── RunNotFoundError (LookupError)          a name matches no run of a store, or more than one
    ├── StrangeStoreError (PermissionError)     the store that was found belongs to another user
    ├── UnknownMetricError (KeyError)           a run has no metric of that name
    ├── PointNotFoundError (LookupError)        a metric has no such point
    ├── ExpressionError (ValueError)            a filter or a sort order is not valid
    └── PackageNeededError (ModuleNotFoundError)  a call needs a package that is not installed

    NoDescriptorError                           this process cannot open more files; not an error of a run

The last one is separate: code that continues with the next run after a `RunError` must not do so after it. It is raised
by `refunc.journal.opening`, which opens files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from refunc.journal.opening import NoDescriptorError
from refunc.values.near import nearest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ExpressionError",
    "NoDescriptorError",
    "PackageNeededError",
    "PointNotFoundError",
    "RunError",
    "RunFormatError",
    "RunNotFoundError",
    "StrangeStoreError",
    "UnknownMetricError",
]

#: The most characters of an expression that an error shows.
_MOST_SHOWN: Final = 2_000
#: The most metrics that an error lists.
_MOST_LISTED: Final = 8


class RunError(Exception):
    """A run or a store cannot be read, or a query not answered; the text says why, and what to do."""

    @property
    def problem(self) -> str:
        """The text in one line."""
        return str(self)


class RunFormatError(RunError):
    """A folder cannot be read as a run, or a newer refunc wrote it. `hint` says how to fix it."""

    def __init__(self, folder: Path, problem: str, hint: str = "Restore its run.json, or remove the folder.") -> None:
        super().__init__(f"{folder}: {problem}")
        self.folder = folder
        self.hint = hint


class RunNotFoundError(RunError, LookupError):
    """A name matches no run, or more than one. `candidates` are similar names."""

    def __init__(self, message: str, candidates: list[str]) -> None:
        super().__init__(message)
        self.candidates = candidates


class StrangeStoreError(RunError, PermissionError):
    """The store that was found, without being named, belongs to another user."""


def listed(metrics: Iterable[str]) -> str:
    """Return the sentence that names *metrics*, or the first of them."""
    known = sorted(metrics)
    if not known:
        return "There are no metrics."
    more = f" and {len(known) - _MOST_LISTED:,} more" if len(known) > _MOST_LISTED else ""
    return f"Known metrics: {', '.join(known[:_MOST_LISTED])}{more}."


class UnknownMetricError(RunError, KeyError):
    """
    A run has no metric of that name. `candidates` are similar names.

    Args:
        run_name: None if none of several runs has it.
    """

    def __init__(self, name: str, run_name: str | None, known: Iterable[str]) -> None:
        known = list(known)
        self.candidates = nearest(name, known, most=3, alike=0.5)
        hint = f"Did you mean {', '.join(self.candidates)}?" if self.candidates else listed(known)
        said = f"the run {run_name} has no metric" if run_name is not None else "none of the runs has a metric"
        super().__init__(f"{said} {name!r}. {hint}")

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError shows its argument's repr


class PointNotFoundError(RunError, LookupError):
    """A metric does not have the requested point."""


class ExpressionError(RunError, ValueError):
    """
    An expression that is not valid. `column` is the position of the error in `text`, counted from 1.

    The text shows the expression with a caret below it.
    """

    def __init__(self, text: str, column: int, problem: str) -> None:
        column = max(1, min(column, len(text) + 1))
        self.text = text
        self.column = column
        self._problem = f"{problem} (column {column})"
        line = text.replace("\n", " ").replace("\t", " ")
        super().__init__(f"{self._problem}\n  {line[:_MOST_SHOWN]}\n  {' ' * (column - 1)}^")

    @property
    def problem(self) -> str:
        """The error and its column."""
        return self._problem


class PackageNeededError(RunError, ModuleNotFoundError):
    """A call needs a package that is not installed."""
