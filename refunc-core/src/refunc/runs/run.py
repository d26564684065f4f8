"""One run, read from its folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from refunc.journal.kinds import CRASHED, UNREADABLE
from refunc.journal.ranks import rank_files
from refunc.runs.glance import Ending, Glance
from refunc.runs.liveness import status_of
from refunc.runs.measured import Measured
from refunc.runs.selection import Ranks, Selection
from refunc.runs.statistics import LAST
from refunc.runs.unreadable import fault_of
from refunc.runs.writers import Writer, writers_of

if TYPE_CHECKING:
    from refunc.journal.reader import Account
    from refunc.journal.record import Record
    from refunc.runs.around import Where
    from refunc.runs.entry import LogEntry
    from refunc.runs.summary import Summary


@attrs.define(eq=False, repr=False)
class Run(Measured):
    """A run on disk, live or ended, with its annotations applied. Reading never changes it."""

    @property
    def status(self) -> str:
        """`completed`, `failed`, `interrupted`, or another status from its end; `running`; `crashed`; `unreadable`."""
        from refunc.runs.ending import end_status

        try:
            return status_of(self.folder, end_status(self.folder))
        except Exception as error:  # then it is unknown whether it has an end
            fault_of(self.folder, error)
            return UNREADABLE

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; for a crashed run to its last record; None for a running one."""
        return self.glance().duration

    def outcome(self, summary: Summary) -> tuple[str, float | None]:
        """Return status and duration like `glance`, from a known *summary*."""
        end = summary.end
        if end is None and summary.account.damaged and self.status == UNREADABLE:
            return UNREADABLE, None
        return self._outcome(end.status if end else None, end.duration if end else None, summary.last_time)

    def _outcome(self, ended: str | None, duration: float | None, last_time: float | None) -> tuple[str, float | None]:
        status = status_of(self.folder, ended)
        if ended is None and status == CRASHED and last_time is not None:
            duration = max(0.0, last_time - self.start_time)
        return status, duration

    def glance(self, ending: Ending | None = None) -> Glance:
        """
        Return status, duration and the newest metrics, from the end of the journal alone.

        Args:
            ending: The result of `ending_of` for its folder, if it is still valid.
        """
        if ending is None:
            from refunc.runs.ending import ending_of

            try:
                ending = ending_of(self.folder)
            except Exception as error:  # see `status`
                fault_of(self.folder, error)
                return Glance(status=UNREADABLE, duration=None, metrics={})
        status, duration = self._outcome(ending.status, ending.duration, ending.last_time)
        metrics, words = ending.metrics, dict[str, str]()
        if ending.is_defined:
            known = self.summary.metrics
            # This reads the whole journal: its end alone may not have a metric that is logged rarely.
            chosen = {name: known[name].shown if name in known else value for name, value in metrics.items()}
            chosen |= {name: metric.shown for name, metric in known.items() if name not in chosen}
            metrics = {name: value for name, value in chosen.items() if value is not None}
            words = {name: known[name].summary for name in metrics if name in known and known[name].summary != LAST}
        return Glance(status=status, duration=duration, metrics=metrics, chosen=words)

    def records(self, account: Account | None = None) -> Iterator[Record]:
        """Yield every record, oldest first; torn, damaged and missing records are counted in *account*."""
        from refunc.journal.reader import read_journal

        return read_journal(self.folder, account)

    def entries(self, *, newest_first: bool = False) -> Iterator[LogEntry]:
        """Yield every record as a LogEntry, oldest first unless *newest_first*."""
        from refunc.journal.reader import read_backwards, read_journal
        from refunc.runs.entry import entry_of

        source = read_backwards(self.folder) if newest_first else read_journal(self.folder)
        for record in source:
            yield entry_of(record, experiment_id=self.experiment_id, run_id=self.run_id)

    @property
    def writers(self) -> list[Writer]:
        """The processes that wrote records, by attempt and rank."""
        return writers_of(self.content())

    @property
    def ranks(self) -> list[int]:
        """The ranks that wrote records or took part in the last attempt; empty if the run was not launched."""
        found = {writer.rank for writer in self.writers}
        found |= {file.role.rank for file in rank_files(self.folder)} if found - {None} else set()
        return sorted(rank for rank in found if rank is not None)

    @property
    def attempt(self) -> int:
        """The number of attempts so far: 1, unless the run was continued."""
        return max([1, *(file.role.attempt for file in rank_files(self.folder))])

    def around(self, metric: str, where: Where = "nan", *, steps: int = 50) -> list[LogEntry]:
        """
        Return the log entries of all kinds and ranks around one point of *metric*, oldest first.

        If the run has several attempts, those that later ones have taken the place of are left out.

        Args:
            where: The point: the first NaN, the first `"max"` or `"min"`, the first of a step, or the first for whose
                value a function returns True.
            steps: The number of steps to either side. Entries without a step are selected by their time.

        Raises:
            UnknownMetricError: The run has no such metric.
            PointNotFoundError: It has no such point.
            ValueError: *where* is an unknown word, or *steps* less than 0.
        """
        if steps < 0:
            raise ValueError(f"steps: {steps!r} is not a number of steps. Allowed: 0 or more.")
        from refunc.runs.around import entries_around, point_in

        series = self.series_of([metric], selection=Selection(is_marked=True))[metric]
        return entries_around(self.entries(), series, point_in(series, where), steps, self.content().rewinds)

    def facts(self, summary: Summary) -> dict[str, Any]:
        """Return the run's names, ids, status and times for tables and documents, by its *summary*."""
        status, duration = self.outcome(summary)
        return {
            "run_id": self.run_id,
            "run_name": self.given_name,
            "experiment_id": self.experiment_id,
            "experiment_name": self.experiment_name,
            "parent_id": self.parent_id,
            "status": status,
            "start_time": self.start_time,
            "duration": duration,
        }

    def to_dict(self, *, metrics: bool = True, rank: Ranks = None) -> dict[str, Any]:
        """
        Return the run's summary as nested plain values; `refunc show --json` prints it.

        Only a run of several ranks or attempts has the members `attempt`, `attempts`, `ranks` and `writers`.

        Args:
            metrics: Whether to include metrics, of which a run may have very many.
            rank: Whose metrics they are; see `metric_summaries`.
        """
        from refunc.runs.document import document_of

        return document_of(self, metrics=metrics, rank=rank)
