"""Filtering log entries of any source, as `get_log_entries` does."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import attrs

from refunc.journal.record import Tags
from refunc.runs.entry import LogEntry
from refunc.values.levels import written_level

_Entry = TypeVar("_Entry")


@attrs.frozen(kw_only=True)
class EntryFilter:
    """
    A filter of entries; every given condition must hold.

    `experiment_id` and `run_id` select the runs that are read; `matches` ignores them. `level` is exact and `min_level`
    a bound. Times are in seconds since 1970, `start_time` inclusive, `end_time` exclusive. An entry matches `tags` if
    it or its run has at least these (see `RunTags`), and `contains` if its message has the text, ignoring case. The
    only process of a run without ranks counts as `rank` 0.
    """

    level: str | None = None
    min_level: int | None = None
    experiment_id: str | None = None
    run_id: str | None = None
    start_time: float | None = None
    end_time: float | None = None
    tags: Mapping[str, str] | None = None
    contains: str | None = None
    rank: int | None = None

    def matches(self, entry: LogEntry, run_tags: RunTags | None = None) -> bool:
        """Whether *entry*, of a run with *run_tags*, matches."""
        return (
            (self.level is None or entry.level == self.level)
            and (self.min_level is None or written_level(entry.level) >= self.min_level)
            and (self.start_time is None or entry.timestamp >= self.start_time)
            and (self.end_time is None or entry.timestamp < self.end_time)
            and (not self.tags or self._matches_tags(entry, run_tags))
            and (self.contains is None or self.contains.lower() in entry.message.lower())
            and (self.rank is None or (entry.rank or 0) == self.rank)
        )

    def _matches_tags(self, entry: LogEntry, run_tags: RunTags | None) -> bool:
        return all(
            entry.tags[name] == str(value)
            if name in entry.tags
            else run_tags is not None and run_tags.at(name, entry.timestamp) == str(value)
            for name, value in (self.tags or {}).items()
        )


class RunTags:
    """
    The tags of a run over its time.

    A value is valid from the time it was set until the next value of its name; the first value of a name is valid from
    the run's start. So `set_tag("phase", "test")` in the middle of a run divides it, and a tag that is set once holds
    for the whole run.
    """

    def __init__(self, records: Iterable[Tags]) -> None:
        """Take all records of tags of the run, oldest first."""
        #: By name: the times at which its values were set, and the values.
        self._changes: dict[str, tuple[list[float], list[str]]] = {}
        for record in records:
            for name, value in record.tags.items():
                times, values = self._changes.setdefault(name, ([], []))
                times.append(record.time)
                values.append(value)

    def at(self, name: str, moment: float) -> str | None:
        """Return the value of the tag *name* at *moment*, in seconds since 1970; None if the run does not have it."""
        if name not in self._changes:
            return None
        times, values = self._changes[name]
        return values[max(0, bisect_right(times, moment) - 1)]


def newest(entries: Iterable[_Entry], count: int | None) -> list[_Entry]:
    """Return the first *count* of *entries*, which are sorted newest first, in the order oldest first."""
    chosen: list[_Entry] = []
    for entry in entries:
        if count is not None and len(chosen) >= count:
            break
        chosen.append(entry)
    chosen.reverse()
    return chosen


def select(entries: Iterable[LogEntry], query: EntryFilter, run_tags: RunTags | None = None) -> Iterator[LogEntry]:
    """Yield those of *entries*, of a run with *run_tags*, that match *query*."""
    return (entry for entry in entries if query.matches(entry, run_tags))
