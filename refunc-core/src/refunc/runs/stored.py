"""A run's points in the index, as the reader of its content sees them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from refunc.runs.columns import Group
    from refunc.runs.points import Points


class Stale(Exception):
    """The index no longer has the expected contents: another process has rebuilt it."""


class Source(Protocol):
    """The part of a run's points in the index; open while it is read."""

    def points(self, writer: str, group: Group, column: int, *, rows: bool) -> Points:
        """Return the points of one of the metrics in the first `stored` rows of *group*. Raises Stale."""
        ...

    def parts(self, writer: str, group: Group, column: int) -> Iterator[Points]:
        """Yield these points part by part, without the rows' numbers, and keep none. Raises Stale."""
        ...


class Stored(Protocol):
    """A run in the index."""

    def opened(self) -> AbstractContextManager[Source]:
        """Open the index for reading points. Raises Stale if that is not possible."""
        ...
