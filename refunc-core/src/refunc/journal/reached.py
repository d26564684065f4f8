"""The last step and epoch of each logger of a run: those of the last records that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refunc.journal.encoded import MetricsRow

#: Loggers that are remembered; generated names must not fill memory.
_MOST = 1_000

#: By logger, None for the logger whose name records leave out: number and time of the record, and its step or epoch.
Last = dict[str | None, tuple[int, float, Any]]


class Reached:
    """The last step and the last epoch of each logger of one writer."""

    def __init__(self) -> None:
        self.steps: Last = {}
        self.epochs: Last = {}

    def see(self, logger: str | None, seq: int, moment: float, step: Any, epoch: Any) -> None:
        """Take one record into account; records may come in any order."""
        if step is not None:
            _put(self.steps, logger, (seq, moment, step))
        if epoch is not None:
            _put(self.epochs, logger, (seq, moment, epoch))

    def see_all(self, rows: list[MetricsRow]) -> None:
        """Take records of metrics into account, which are in order."""
        loggers = {row.logger for row in rows}
        for logger in loggers:
            own = rows if len(loggers) == 1 else [row for row in rows if row.logger == logger]
            last = own[-1]
            # Nearly always the last record has the same members as all: if it has no epoch, most have none.
            if last.step is None:
                last = next((row for row in reversed(own) if row.step is not None), last)
            self.see(logger, last.seq, last.time, last.step, None)
            known = own if own[-1].epoch is None else own[-1:]
            known = [row for row in known if row.epoch is not None]
            if known:
                self.see(logger, known[-1].seq, known[-1].time, None, known[-1].epoch)

    def count_from_start(self) -> None:
        """Treat all further records as newer than those before: a fork's child numbers its own from the start."""
        for last in (self.steps, self.epochs):
            last.update({logger: (-1, *known[1:]) for logger, known in last.items()})


def _put(last: Last, logger: str | None, found: tuple[int, float, Any]) -> None:
    known = last.get(logger)
    if known is None:
        if len(last) >= _MOST:
            del last[next(iter(last))]
        last[logger] = found
    elif known[0] <= found[0]:
        last[logger] = found
