"""What runs look like to Prometheus: names, labels, families."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from refunc.plugins import Metrics, RunInfo

#: Names of metrics that one run may have; each is a time series for as long as the server keeps it.
MAX_NAMES = 1_000
#: Names that mean something about the run itself; a user's metric of such a name gets a hash behind it.
RESERVED = frozenset(
    {"run_info", "run_status", "run_start_time_seconds", "step", "epoch", "records_dropped_total", "log_lines_total"}
    | {"records_dropped", "log_lines", "run", "metrics_ignored", "metrics_ignored_total"}
)
STATUSES = ("running", "completed", "failed", "interrupted", "crashed")
_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9_]")
LABELS = ("experiment", "run", "run_id")


@attrs.define(eq=False)
class RunValues:
    """The newest of one run."""

    run: RunInfo
    metrics: dict[str, float] = attrs.field(factory=dict[str, float])
    lines: dict[str, int] = attrs.field(factory=dict[str, int])
    step: float | None = None
    epoch: float | None = None
    status: str = "running"
    dropped: int = 0
    ignored: int = 0

    def take(self, record: Metrics) -> None:
        """Keep what *record* has; names beyond the limit are counted."""
        for name, value in record.metrics.items():
            if value is None:
                continue
            if name in self.metrics or len(self.metrics) < MAX_NAMES:
                self.metrics[name] = float(value)
            else:
                self.ignored += 1
        self.step = record.step if record.step is not None else self.step
        self.epoch = record.epoch if record.epoch is not None else self.epoch

    def copy(self) -> RunValues:
        """Return what another thread may read."""
        return attrs.evolve(self, metrics=dict(self.metrics), lines=dict(self.lines))

    @property
    def labels(self) -> list[str]:
        """The values of `LABELS`."""
        return [self.run.experiment_name, self.run.run_name or self.run.run_id, self.run.run_id]


def name_of(metric: str) -> str:
    """
    Return *metric* as a part of a Prometheus name: `train/loss` is `train_loss`.

    Depends on nothing but the name, so a restart changes no series. A name of other characters than letters, digits,
    `_`, `/`, `-`, `.` and space gets a hash behind it, and so does one that is reserved.
    """
    plain = _NOT_ALLOWED.sub("_", metric)
    if re.fullmatch(r"[a-zA-Z0-9_/\-. ]+", metric) and plain not in RESERVED:
        return plain
    return f"{plain}_{_digest(metric)}"


def names_of(metrics: Iterable[str]) -> dict[str, str]:
    """Return the name of each of *metrics*; of those that would share one, all but the plainly spelt get a hash."""
    spelt: dict[str, list[str]] = {}
    for metric in sorted(set(metrics)):
        spelt.setdefault(name_of(metric), []).append(metric)
    names: dict[str, str] = {}
    for name, several in spelt.items():
        for metric in several:
            names[metric] = name if len(several) == 1 or metric == name else f"{name}_{_digest(metric)}"
    return names


def families(namespace: str, runs: Sequence[RunValues]) -> Iterator[Any]:
    """Yield all that there is to say of *runs*, as prometheus_client's metric families."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    def gauge(name: str, text: str, extra: Sequence[str] = ()) -> Any:
        return GaugeMetricFamily(f"{namespace}_{name}", text, labels=[*LABELS, *extra])

    info = InfoMetricFamily(f"{namespace}_run", "What a run is.", labels=LABELS)
    started = gauge("run_start_time_seconds", "When a run began, in seconds since 1970.")
    status = gauge("run_status", "1 for the status that a run has.", ["status"])
    step, epoch = gauge("step", "The newest step."), gauge("epoch", "The newest epoch.")
    dropped = CounterMetricFamily(f"{namespace}_records_dropped", "Records that no disk took.", labels=LABELS)
    ignored = CounterMetricFamily(f"{namespace}_metrics_ignored", "Values of names beyond the limit.", labels=LABELS)
    lines = CounterMetricFamily(f"{namespace}_log_lines", "Lines by level.", labels=[*LABELS, "level"])
    for values in runs:
        labels, run = values.labels, values.run
        facts: dict[str, str] = {
            "experiment_id": run.experiment_id,
            "attempt": str(run.attempt),
            "parent_id": run.parent_id or "",
        }
        info.add_metric(labels, facts)
        started.add_metric(labels, run.start_time)
        for word in dict.fromkeys((*STATUSES, values.status)):
            status.add_metric([*labels, word], float(word == values.status))
        if values.step is not None:
            step.add_metric(labels, values.step)
        if values.epoch is not None:
            epoch.add_metric(labels, values.epoch)
        dropped.add_metric(labels, values.dropped)
        ignored.add_metric(labels, values.ignored)
        for level, count in values.lines.items():
            lines.add_metric([*labels, level], count)
    yield from (info, started, status, step, epoch, dropped, ignored, lines)
    for metric, name in names_of(name for values in runs for name in values.metrics).items():
        family = gauge(name, f"The newest value of {metric}")
        for values in runs:
            if metric in values.metrics:
                family.add_metric(values.labels, values.metrics[metric])
        yield family


def _digest(metric: str) -> str:
    return hashlib.sha256(metric.encode("utf-8", "backslashreplace")).hexdigest()[:6]
