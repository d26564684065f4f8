"""Runs in the form of Prometheus: names, labels, families."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from refunc.plugins import Metrics, RunInfo, text_of
from refunc_prometheus.names import LONGEST_LABEL, name_of

#: The most metric names of one run; each is a time series for as long as the server keeps it.
MAX_NAMES = 1_000
STATUSES = ("running", "completed", "failed", "interrupted", "preempted", "pruned", "exited", "crashed")
LABELS = ("experiment", "run", "run_id")


@attrs.define(eq=False)
class RunValues:
    """The newest values of one run."""

    run: RunInfo
    #: By metric and rank, which is "" without a launch.
    metrics: dict[tuple[str, str], float] = attrs.field(factory=dict[tuple[str, str], float])
    #: By metric: the part of its Prometheus name, which is fixed when the metric is first seen.
    names: dict[str, str] = attrs.field(factory=dict[str, str])
    lines: dict[str, int] = attrs.field(factory=dict[str, int])
    step: float | None = None
    epoch: float | None = None
    status: str = "running"
    dropped: int = 0
    ignored: int = 0
    _taken: set[str] = attrs.field(factory=set[str])

    def take(self, record: Metrics) -> None:
        """
        Keep the values of *record*; names beyond the limit are counted.

        The metrics of another rank, if they are delivered, begin with `rank_3/`: they are values of one metric, told
        apart by the label `rank`.
        """
        rank = "" if record.rank is None else str(record.rank)
        for given, value in record.metrics.items():
            if value is None:
                continue
            name = given.removeprefix(f"rank_{rank}/")
            if name not in self.names:
                if len(self.names) == MAX_NAMES:
                    self.ignored += 1
                    continue
                self.names[name] = name_of(name, self._taken)
                self._taken.add(self.names[name])
            self.metrics[name, rank] = float(value)
        if record.rank:
            return
        self.step = record.step if record.step is not None else self.step
        self.epoch = record.epoch if record.epoch is not None else self.epoch

    def copy(self) -> RunValues:
        """Return a copy that another thread may read."""
        return attrs.evolve(self, metrics=dict(self.metrics), names=dict(self.names), lines=dict(self.lines))

    @property
    def labels(self) -> list[str]:
        """The values of `LABELS`."""
        texts = (self.run.experiment_name, self.run.run_name or self.run.run_id, self.run.run_id)
        return [text_of(text, LONGEST_LABEL) for text in texts]


def families(namespace: str, runs: Sequence[RunValues]) -> Iterator[Any]:
    """Yield all values of *runs* as prometheus_client's metric families."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    def gauge(name: str, text: str, extra: Sequence[str] = ()) -> Any:
        return GaugeMetricFamily(f"{namespace}_{name}", text, labels=[*LABELS, *extra])

    info = InfoMetricFamily(f"{namespace}_run", "Names and ids of a run.", labels=LABELS)
    started = gauge("run_start_time_seconds", "The start of a run, in seconds since 1970.")
    status = gauge("run_status", "1 for the current status of a run.", ["status"])
    step, epoch = gauge("step", "The newest step."), gauge("epoch", "The newest epoch.")
    dropped = CounterMetricFamily(
        f"{namespace}_records_dropped", "Records lost because the disk refused them.", labels=LABELS
    )
    ignored = CounterMetricFamily(
        f"{namespace}_metrics_ignored", "Values of metrics beyond the limit of names.", labels=LABELS
    )
    lines = CounterMetricFamily(f"{namespace}_log_lines", "Lines by level.", labels=[*LABELS, "level"])
    for values in runs:
        labels, run = values.labels, values.run
        facts: dict[str, str] = {
            "experiment_id": text_of(run.experiment_id, LONGEST_LABEL),
            "attempt": str(run.attempt),
            "parent_id": run.parent_id or "",
        }
        info.add_metric(labels, facts)
        started.add_metric(labels, run.start_time)
        for word in dict.fromkeys((*STATUSES, values.status)):
            status.add_metric([*labels, text_of(word, LONGEST_LABEL)], float(word == values.status))
        if values.step is not None:
            step.add_metric(labels, values.step)
        if values.epoch is not None:
            epoch.add_metric(labels, values.epoch)
        dropped.add_metric(labels, values.dropped)
        ignored.add_metric(labels, values.ignored)
        for level, count in values.lines.items():
            lines.add_metric([*labels, text_of(level, LONGEST_LABEL)], count)
    yield from (info, started, status, step, epoch, dropped, ignored, lines)
    owners: dict[str, list[tuple[RunValues, str, str]]] = {}
    for values in runs:
        for metric, rank in values.metrics:
            owners.setdefault(values.names[metric], []).append((values, metric, rank))
    for name in sorted(owners):
        # Without a launch the label is empty, which Prometheus treats like none.
        family = gauge(name, "The newest value of a metric.", ["metric", "rank"])
        for values, metric, rank in owners[name]:
            family.add_metric([*values.labels, text_of(metric, LONGEST_LABEL), rank], values.metrics[metric, rank])
        yield family
