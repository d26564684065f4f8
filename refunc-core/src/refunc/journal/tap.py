"""Observers of a writer's records, on the writer's thread, in the order in which they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from refunc.journal.encoded import MetricsRow


class Watch(Protocol):
    """Looks at the metrics while they are written, on the writer's thread."""

    def see(self, metrics: Mapping[str, Any], place: Any) -> object:
        """Look at *metrics* at a *place*, a step and an epoch."""

    def see_all(
        self, names: tuple[str, ...], column_of: Callable[[int], list[Any]], place_of: Callable[[int], Any]
    ) -> object:
        """Look at many records with these *names*: values by a name's index, places by a record's, oldest first."""


class Tap(Protocol):
    """Takes the records of one writer, each once, in the draining thread within the writer's turn."""

    #: The number of the first record that it does not have yet.
    told: int

    def take(self, rows: list[Any], alike: list[list[MetricsRow]], done: Callable[[], object]) -> object:
        """
        Take records, which have their numbers.

        Args:
            rows: All but metrics, oldest first: structs, and dicts of fields.
            alike: Metrics, one list for each set of names, oldest first.
            done: Called in the same step in which the records are passed on, which no interrupt can divide.
        """

    def flush(self) -> object:
        """Write the records that were taken; called by a thread that has written to the journal."""

    def finish(self) -> object:
        """Pass on the records that are held back: there may be no more."""

    def forget(self) -> object:
        """Forget the parent's records, in a forked child."""


def number_of(row: Any) -> int:
    """Return the sequence number of a record in its encoded form."""
    return int(row["seq"] if type(row) is dict else row.seq)
