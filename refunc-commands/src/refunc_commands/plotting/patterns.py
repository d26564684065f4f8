"""Metrics of runs that are named by a pattern, such as `*/loss`, and their statistics: `*/loss.min`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from refunc.runs import metric_names
from refunc.runs.errors import UnknownMetricError, listed
from refunc.runs.run import Run
from refunc.runs.statistics import STATISTICS


def metrics_named(wanted: Iterable[str], runs: Sequence[Run]) -> list[str]:
    """Return the metrics of *runs* that are *wanted*, by name or pattern. Raises UnknownMetricError."""
    return metric_names.metrics_named(wanted, _known(runs), _only(runs))


def values_named(wanted: Iterable[str], runs: Sequence[Run]) -> list[str]:
    """Return the metrics by name or pattern, each also with a statistic: `*/loss.min`. Raises UnknownMetricError."""
    known = _known(runs)
    found: list[str] = []
    for name in wanted:
        whole, _, statistic = name.rpartition(".")
        has_statistic = name not in known and statistic in STATISTICS
        ending = f".{statistic}" if has_statistic else ""
        named = metric_names.metrics_named([whole if has_statistic else name], known, _only(runs))
        found += [each + ending for each in named]
    return found


def known_metrics(runs: Sequence[Run]) -> str:
    """Return the sentence that names the metrics of *runs*."""
    return listed(_known(runs))


def unknown(metric: str, runs: Sequence[Run]) -> UnknownMetricError:
    """Return the error for a metric that none of *runs* has."""
    return UnknownMetricError(metric, _only(runs), _known(runs))


def _known(runs: Sequence[Run]) -> dict[str, None]:
    return dict.fromkeys(name for run in runs for name in run.summary.metrics)


def _only(runs: Sequence[Run]) -> str | None:
    return runs[0].run_name if len(runs) == 1 else None
