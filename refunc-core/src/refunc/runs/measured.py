"""The content of a run: its summary, and the points of its metrics. The code that reads it is loaded with the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from typing import TYPE_CHECKING, Any, overload

import attrs

from refunc.runs.errors import UnknownMetricError
from refunc.runs.identity import Identity
from refunc.runs.selection import Attempts, Ranks, Selection
from refunc.runs.signature import Signature, signature_of
from refunc.runs.stale import Stale

if TYPE_CHECKING:
    from typing_extensions import Self

    from refunc.annotations.state import Annotations
    from refunc.journal.record import Artifact
    from refunc.runs.gathered import Content
    from refunc.runs.series import Series
    from refunc.runs.summary import MetricSummary, Summary
    from refunc.runs.thinning import Thinned


@attrs.define(eq=False, repr=False)
class Measured(Identity):
    """The part of a run that is read from its whole journal, or from the index."""

    #: The most processes that read ahead in a large journal; see `segments_ahead`.
    processes: int = attrs.field(default=0, init=False)
    _content: Content | None = attrs.field(default=None, init=False)
    _is_still: bool = attrs.field(default=False, init=False)
    #: A summary of the journal, the annotations, and the summary with these applied.
    _summary: tuple[Summary, Annotations, Summary] | None = attrs.field(default=None, init=False)

    def still(self) -> Self:
        """
        Return the run as it is now, though it goes on: the parts of an answer agree, and its journal is read once.

        Else each part would read the records that came meanwhile, of a run that logs fast for as long as it runs.
        """
        found = copy(self)
        found._content, found._is_still = self.content(), True
        return found

    def content(self, *, cached: bool = True, signature: Signature | None = None) -> Content:
        """
        Return the current content of the journal, cached until its files change; see `read_content` for *cached*.

        Args:
            signature: The state of the files, if it was just asked for.
        """
        known = self._content
        if self._is_still and known is not None:
            return known
        signature = signature_of(self.folder) if signature is None else signature
        if known is None or known.signature != signature:
            from refunc.runs.read_on import continued, read_content

            grown = continued(known, signature, cached=cached) if known is not None else None
            known = self._content = grown or read_content(
                self.folder, signature, cached=cached, processes=self.processes
            )
        return known

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
        if name is None:
            return self.series_of(self.content().summary.metrics, max_points=max_points, selection=selection)
        return self.series_of([name], max_points=max_points, selection=selection)[name]

    def series_of(
        self, names: Iterable[str], *, max_points: int | None = None, selection: Selection | None = None
    ) -> dict[str, Series]:
        """Return the points of several metrics; see `metrics`. Raises UnknownMetricError if the run has not all."""
        names, selection = list(names), selection or Selection()
        if max_points is not None:
            found = zip(names, self.thinned(names, max_points, selection=selection), strict=True)
            return {name: each.series for name, each in found}
        try:
            return self._having(names, self.content()).series(names, selection)
        except Stale:
            return self._having(names, self._read_again()).series(names, selection)

    def thinned(
        self, names: Iterable[str], max_points: int, *, selection: Selection | None = None, is_numbered: bool = False
    ) -> Iterator[Thinned]:
        """
        Yield the points of each metric thinned out; see `Series.downsample`.

        One metric after another is read, part by part, so that memory does not grow with the points.

        Args:
            is_numbered: Give points the numbers that they have among all if none of them has an x.

        Raises:
            UnknownMetricError: The run does not have one, for example because its folder was removed meanwhile.
            ValueError: *max_points* is less than five.
        """
        for name in names:
            try:
                content = self._having([name], self.content())
                yield content.thinned(name, max_points, selection or Selection(), is_numbered=is_numbered)
            except Stale:
                again = self._having([name], self._read_again())
                yield again.thinned(name, max_points, selection or Selection(), is_numbered=is_numbered)

    def _having(self, names: Iterable[str], content: Content) -> Content:
        """Return *content*. Raises UnknownMetricError if it lacks one of the metrics."""
        for name in names:
            if name not in content.summary.metrics:
                raise UnknownMetricError(name, self.run_name, content.summary.metrics)
        return content

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
