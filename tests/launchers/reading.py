"""Reading back the runs that the ranks of a launch have written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from refunc.journal.reader import Account
from refunc.journal.record import LogLine, Metrics
from refunc.runs import Run, open_store


class Finished(NamedTuple):
    """The exit code and the output of a launcher's command."""

    returncode: int
    out: str
    err: str


#: The fixture `launched`: runs a launcher's command.
Launched = Callable[..., Finished]


def all_runs() -> list[Run]:
    return list(open_store())


def only_run() -> Run:
    [run] = all_runs()
    return run


class Records:
    """All records of a run, of every writer."""

    def __init__(self, run: Run) -> None:
        account = Account()
        self.all: list[Any] = list(run.records(account))
        self.damage = account
        self.lines = Counter(record.message for record in self.all if isinstance(record, LogLine))

    def points(self, name: str) -> Counter[Any]:
        """Return how often each (writer, step, value) of a metric was read."""
        return Counter(
            (record.writer, record.step, record.metrics[name])
            for record in self.all
            if isinstance(record, Metrics) and name in record.metrics
        )
