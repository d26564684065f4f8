"""
The records of a run that go to log files: the tap of its journal writer.

A record goes to the files of its logger, start and end go to the files of all loggers that took part in the run. A file
takes part from the first record of its logger on, and gets the run's start before that: refunc's own records do not
make a file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Any

from refunc.journal import kinds
from refunc.journal.tap import number_of
from refunc.logging.console.thinning import Thinned
from refunc.logging.logfiles import shelf
from refunc.logging.logfiles.logfile import LogFile
from refunc.logging.logfiles.written import Passed, level_of
from refunc.values.levels import METRIC

if TYPE_CHECKING:
    from refunc.logging.active.run import ActiveRun

#: Sets of names that are thinned apart; a script that generates names without end must not fill memory.
MAX_SETS = 1_000
#: Records that describe a run before a logger has written to it: its start, and its integrations.
_MOST_BEFORE = 100

_OF_ALL = frozenset({kinds.START, kinds.END, kinds.ATTACH, kinds.GAP, kinds.DAMAGED})
_logger_of = attrgetter("logger")
_call = methodcaller("__call__")


class Transcript:
    """Passes the records of one writer on to log files, in the journal's order; see `journal.tap.Tap`."""

    def __init__(self, logger: str, run: ActiveRun | None = None) -> None:
        """
        Args:
            logger: The logger of records that do not name one.
            run: The run of the records; None outside of any.
        """
        self._logger = logger
        self._run = run
        self.forget()

    def forget(self) -> None:
        """Start empty in a forked child: records passed on before the fork are in the parent's files."""
        self.told = 0
        self._before: deque[Passed] = deque(maxlen=_MOST_BEFORE)
        self._files: dict[LogFile, None] = {}  # that took part; outside of any run, since the last flush
        self._sets: dict[tuple[str, Any], Thinned] = {}

    def take(self, rows: list[Any], alike: list[list[Any]], done: Callable[[], object]) -> None:
        """Pass records on, and call *done*, in one step."""
        passed = [self._passed(row) for row in rows]
        groups = list(self._by_logger(alike))
        shown = [*passed, *self._thinned(groups)]
        if len(shown) > len(passed):
            shown.sort(key=_number_of_passed)
        end = next((each for each in passed if _kind(each) == kinds.END), None)
        if end is not None:  # records that were held back come before it
            at = next(index for index, each in enumerate(shown) if each is end)
            shown[at:at] = self._held_back()
        self._deliver(shown, passed, groups, done)
        if end is not None:
            for file in self._files:
                file.users.discard(self)

    def flush(self) -> None:
        """Write the queued records of the files that took part."""
        for file in tuple(self._files):
            if not file.is_idle:
                file.flush()
        if self._run is None:  # there is no end record to wait for
            self._files = {}

    def finish(self) -> None:
        """Pass on the last point of each set of metrics if it was left out."""
        held_back = self._held_back()
        if held_back:
            self._deliver(held_back, [], [], bool)

    def _passed(self, row: Any) -> Passed:
        name = row.get("logger") if type(row) is dict else row.logger
        return Passed(row, level_of(row), name or self._logger, self._run)

    # -- metrics in text files ---------------------------------------------------------------------------------------

    def _by_logger(self, alike: list[list[Any]]) -> Iterator[tuple[str, list[Any]]]:
        """Yield metrics by their logger and their names."""
        for group in alike:
            names = set(map(_logger_of, group))
            for name in names:
                own = group if len(names) == 1 else [row for row in group if row.logger == name]
                if shelf.named(name or self._logger):
                    yield name or self._logger, own

    def _thinned(self, groups: list[tuple[str, list[Any]]]) -> list[Passed]:
        """Return the points for text files, in no order."""
        shown: list[Passed] = []
        for name, rows in groups:
            shown += self._thin(rows, name)
        return shown

    def _thin(self, rows: list[Any], name: str) -> list[Passed]:
        """Return the points among *rows*, which have one set of names, that are not left out."""
        shown: list[Passed] = []
        metrics = rows[0].metrics
        key = (name, tuple(metrics) if type(metrics) is dict else type(metrics))
        thinned = self._sets.get(key)
        if thinned is None:
            if len(self._sets) >= MAX_SETS:
                shown += self._held_back()
                self._sets.clear()
            thinned = self._sets[key] = Thinned()
        if thinned.leaves_out(rows[0].time) and thinned.leaves_out(rows[-1].time):  # nearly always
            thinned.leave_out(rows)
            return shown
        for row in rows:
            if thinned.leaves_out(row.time):
                thinned.leave_out([row])
            else:
                shown.append(Passed(row, METRIC, name, self._run, thinned.show(row.time)))
        return shown

    def _held_back(self) -> list[Passed]:
        """Return the last point of each set if it was left out; it counts as shown."""
        last: list[Passed] = []
        for (name, _), thinned in self._sets.copy().items():
            row = thinned.last
            if row is not None:
                last.append(Passed(row, METRIC, name, self._run, thinned.show(row.time) - 1))
        return sorted(last, key=_number_of_passed)

    # -- files -------------------------------------------------------------------------------------------------------

    def _deliver(
        self,
        shown: list[Passed],
        passed: list[Passed],
        groups: list[tuple[str, list[Any]]],
        done: Callable[[], object],
    ) -> None:
        """
        Queue records for their files.

        Args:
            shown: The records for text files, including the points that are not left out.
            passed: The records for files with all records, besides the points in *groups*.
        """
        files, fresh = self._meant(shown, passed, groups)
        texts, whole = _ByLogger(shown), _ByLogger([])
        if any(file.settings.has_all for file in files):
            whole = _ByLogger(self._whole(passed, groups))
        calls: list[Callable[[], object]] = []
        taking = []
        for file in files:
            items = (whole if file.settings.has_all else texts).of(file)
            if file in fresh:
                items[:0] = [each for each in self._before if _is_wanted(file, each)]
            if items:
                calls.append(partial(file.queue.extend, items))
                taking.append(file)
        before = [each for each in passed if _kind(each) in (kinds.START, kinds.ATTACH)]
        calls += [partial(self._files.update, fresh), partial(self._before.extend, before), done]
        list(map(_call, calls))  # in C, so that no signal handler's exception comes between
        if self._run is not None:
            for file in fresh:
                file.users.add(self)
        for file in taking:
            if len(file.queue) > file.high_water:
                file.relieve()

    def _meant(
        self, shown: list[Passed], passed: list[Passed], groups: list[tuple[str, list[Any]]]
    ) -> tuple[dict[LogFile, None], dict[LogFile, None]]:
        """Return the files for the records, and those among them that had no record before."""
        names = dict.fromkeys(each.logger for each in shown if not _is_of_all(each))
        files = {file: None for name in names for file in shelf.named(name)}
        for name, _ in groups:
            files.update((file, None) for file in shelf.named(name) if file.settings.has_all)
        fresh = {file: None for file in files if file not in self._files}
        if any(map(_is_of_all, passed)):
            files = {**self._files, **files}
        return files, fresh

    def _whole(self, passed: list[Passed], groups: list[tuple[str, list[Any]]]) -> list[Passed]:
        """Return all records in their order."""
        points = [Passed(row, METRIC, name, self._run) for name, rows in groups for row in rows]
        return sorted([*passed, *points], key=_number_of_passed) if points else passed


def _kind(passed: Passed) -> str | None:
    """Return the kind of a record that is a dict."""
    return passed.row["kind"] if type(passed.row) is dict else None


def _is_of_all(passed: Passed) -> bool:
    """Whether *passed* concerns the run as a whole."""
    return _kind(passed) in _OF_ALL


def _is_wanted(file: LogFile, passed: Passed) -> bool:
    """Whether *file* takes records of this level. A logger has already dropped lines below its own level."""
    return passed.level >= file.settings.level or hasattr(passed.row, "level")


class _ByLogger:
    """Records of one batch, by their logger: there may be many of those, each with a file."""

    def __init__(self, records: list[Passed]) -> None:
        self._records = records
        self._of_all = any(map(_is_of_all, records))
        self._by_name: dict[str, list[Passed]] = {}
        for each in records:
            self._by_name.setdefault(each.logger, []).append(each)

    def of(self, file: LogFile) -> list[Passed]:
        """Return the records for *file*."""
        records = self._by_name.get(file.name, [])
        if self._of_all:
            records = [each for each in self._records if each.logger == file.name or _is_of_all(each)]
        return [each for each in records if _is_wanted(file, each)]


def _number_of_passed(passed: Passed) -> int:
    return number_of(passed.row)
