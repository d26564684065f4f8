"""Choosing log entries: what `get_log_entries` asks, on any source of entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import attrs

from refunc.journal.levels import written_level
from refunc.runs.entry import LogEntry

_Entry = TypeVar("_Entry")


@attrs.frozen(kw_only=True)
class Query:
    """
    Which entries are wanted; every condition that is given must hold.

    `experiment_id` and `run_id` say which runs are read at all; `matches` does not look at them. `level` is exact and
    `min_level` a bound. Times are in seconds since 1970, `start_time` inclusive, `end_time` not. An entry matches
    `tags` if it carries at least these, and `contains` if its message has the text in any case.
    """

    level: str | None = None
    min_level: int | None = None
    experiment_id: str | None = None
    run_id: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    tags: Mapping[str, str] | None = None
    contains: str | None = None

    def matches(self, entry: LogEntry) -> bool:
        """Whether *entry* is wanted."""
        return (
            (self.level is None or entry.level == self.level)
            and (self.min_level is None or written_level(entry.level) >= self.min_level)
            and (self.start_time is None or entry.timestamp >= self.start_time)
            and (self.end_time is None or entry.timestamp < self.end_time)
            and (self.tags is None or all(entry.tags.get(key) == str(value) for key, value in self.tags.items()))
            and (self.contains is None or self.contains.lower() in entry.message.lower())
        )


def newest(entries: Iterable[_Entry], count: int | None) -> list[_Entry]:
    """Return the first *count* of *entries*, which come newest first, oldest first."""
    chosen: list[_Entry] = []
    for entry in entries:
        if count is not None and len(chosen) >= count:
            break
        chosen.append(entry)
    chosen.reverse()
    return chosen


def select(entries: Iterable[LogEntry], query: Query) -> Iterator[LogEntry]:
    """Yield those of *entries* that *query* wants."""
    return (entry for entry in entries if query.matches(entry))
