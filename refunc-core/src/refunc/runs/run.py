"""One run, read from its folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, overload

import attrs

from refunc.journal.kinds import CRASHED, UNREADABLE
from refunc.journal.ranks import rank_files
from refunc.runs.errors import UnknownMetricError
from refunc.runs.glance import Ending, Glance
from refunc.runs.identity import Identity
from refunc.runs.liveness import status_of
from refunc.runs.selection import Attempts, Ranks, Selection
from refunc.runs.signature import Signature, signature_of
from refunc.runs.statistics import LAST
from refunc.runs.stored import Stale
from refunc.runs.unreadable import fault_of
from refunc.runs.writers import Writer, writers_of

if TYPE_CHECKING:
    from refunc.annotations.state import Annotations
    from refunc.journal.reader import Account
    from refunc.journal.record import Artifact, Record
    from refunc.runs.around import Where
    from refunc.runs.entry import LogEntry
    from refunc.runs.gathered import Content
    from refunc.runs.series import Series
    from refunc.runs.summary import MetricSummary, Summary
    from refunc.runs.thinning import Thinned


@attrs.define(eq=False, repr=False)
class Run(Identity):
    """A run on disk, live or ended, with its annotations applied. Reading never changes it."""

    _content: Content | None = attrs.field(default=None, init=False)
    #: A summary of the journal, the annotations, and the summary with these applied.
    _summary: tuple[Summary, Annotations, Summary] | None = attrs.field(default=None, init=False)

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

    # -- summaries and points ----------------------------------------------------------------------------------------

    @property
    def summary(self) -> Summary:
        """Params, tags, results, artifacts, and a summary of each metric; updated when the run changes."""
        return self.annotated(self.content().summary)

    def annotated(self, logged: Summary) -> Summary:
        """Return the summary *logged* of the journal with the annotations applied."""
        annotations = self.annotations
        if not annotations.tags:
            return logged
        known = self._summary
        if known is None or known[0] is not logged or known[1] is not annotations:
            applied = attrs.evolve(logged, tags=annotations.applied(logged.tags))
            known = self._summary = logged, annotations, applied
        return known[2]

    @property
    def params(self) -> dict[str, Any]:
        """The hyperparameters, nested as they were given."""
        return self.summary.params

    @property
    def tags(self) -> dict[str, str]:
        """The tags, with those that were given or taken away later."""
        return self.summary.tags

    @property
    def results(self) -> dict[str, Any]:
        """The logged results."""
        return self.summary.results

    @property
    def artifacts(self) -> list[Artifact]:
        """The records of the artifacts."""
        return self.summary.artifacts

    @overload
    def metrics(
        self, name: str, *, max_points: int | None = None, rank: Ranks = None, attempts: Attempts = "newest"
    ) -> Series: ...
    @overload
    def metrics(
        self, name: None = None, *, max_points: int | None = None, rank: Ranks = None, attempts: Attempts = "newest"
    ) -> dict[str, Series]: ...
    def metrics(
        self,
        name: str | None = None,
        *,
        max_points: int | None = None,
        rank: Ranks = None,
        attempts: Attempts = "newest",
    ) -> Series | dict[str, Series]:
        """
        Return the points of the metric *name*, or of every metric, by name; all points, unless *max_points* is given.

        Args:
            max_points: The most points of a series; see `Series.downsample`.
            rank: The rank whose points they are; `"all"` for those of all ranks; `"mean"`, `"min"` or `"max"` for one
                point a step, made of all ranks' values there. By default, rank 0, or the lowest that logged the metric.
            attempts: `"newest"`: of each step, the value of the newest attempt that passed it. `"all"`: all points.

        Raises:
            UnknownMetricError: The run has no metric *name*.
            ValueError: *max_points* is less than five; *rank* or *attempts* is not known.
        """
        selection = Selection(rank, attempts)
        known = self.content().summary.metrics
        if name is not None and name not in known:
            raise UnknownMetricError(name, self.run_name, known)
        if name is None:
            return self.series_of(known, max_points=max_points, selection=selection)
        return self.series_of([name], max_points=max_points, selection=selection)[name]

    def series_of(
        self, names: Iterable[str], *, max_points: int | None = None, selection: Selection | None = None
    ) -> dict[str, Series]:
        """Return the points of several metrics, which the summary must have; see `metrics`."""
        names, selection = list(names), selection or Selection()
        if max_points is not None:
            found = zip(names, self.thinned(names, max_points, selection=selection), strict=True)
            return {name: each.series for name, each in found}
        try:
            return self.content().series(names, selection)
        except Stale:
            return self._read_again().series(names, selection)

    def thinned(
        self, names: Iterable[str], max_points: int, *, selection: Selection | None = None, is_numbered: bool = False
    ) -> Iterator[Thinned]:
        """
        Yield the points of each metric, which the summary must have, thinned out; see `Series.downsample`.

        One metric after another is read, part by part, so that memory does not grow with the points.

        Args:
            is_numbered: Give points the numbers that they have among all if none of them has an x.

        Raises:
            ValueError: *max_points* is less than five.
        """
        for name in names:
            try:
                yield self.content().thinned(name, max_points, selection or Selection(), is_numbered=is_numbered)
            except Stale:
                again = self._read_again()
                yield again.thinned(name, max_points, selection or Selection(), is_numbered=is_numbered)

    def _read_again(self) -> Content:
        from refunc.runs.read_on import read_content

        self._content = read_content(self.folder, cached=False)
        return self._content

    def metric_summaries(self, *, rank: Ranks = None, attempts: Attempts = "newest") -> dict[str, MetricSummary]:
        """
        Return by name the summaries of the points that `metrics` returns for the same arguments; of those there are.

        `summary.metrics` has them for the usual points, together with the final values of the run's end.

        Raises:
            ValueError: *rank* or *attempts* is not known.
        """
        selection = Selection(rank, attempts)
        try:
            return self.content().summaries(selection)
        except Stale:
            return self._read_again().summaries(selection)

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
        """
        from refunc.runs.around import entries_around, point_in

        known = self.content().summary.metrics
        if metric not in known:
            raise UnknownMetricError(metric, self.run_name, known)
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

    def content(self, *, cached: bool = True, signature: Signature | None = None) -> Content:
        """
        Return the current content of the journal, cached until its files change; see `read_content` for *cached*.

        Args:
            signature: The state of the files, if it was just asked for.
        """
        signature = signature_of(self.folder) if signature is None else signature
        known = self._content
        if known is None or known.signature != signature:
            from refunc.runs.read_on import continued, read_content

            grown = continued(known, signature, cached=cached) if known is not None else None
            known = self._content = grown or read_content(self.folder, signature, cached=cached)
        return known
