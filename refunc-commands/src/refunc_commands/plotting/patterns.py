"""Metrics that are named by a pattern, such as `*/loss`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from refunc.runs.errors import UnknownMetricError, listed
from refunc.runs.run import Run
from refunc.runs.statistics import STATISTICS

_WILD = frozenset("*?[")


def metrics_named(wanted: Iterable[str], runs: Sequence[Run]) -> list[str]:
    """
    Return the metrics of *runs* that are *wanted*: by name, or by a pattern with `*`, `?` and `[…]`.

    A metric whose own name has such a letter is found by its name.

    Raises:
        UnknownMetricError: A pattern that no run has a metric for.
    """
    known = dict.fromkeys(name for run in runs for name in run.summary.metrics)
    found: dict[str, None] = {}
    for name in wanted:
        if name in known or _WILD.isdisjoint(name):
            found[name] = None
            continue
        matching = [each for each in known if fnmatchcase(each, name)]
        if not matching:
            raise unknown(name, runs)
        found.update(dict.fromkeys(matching))
    return list(found)


def values_named(metrics: Iterable[str], runs: Sequence[Run]) -> list[str]:
    """Return the metrics by name or pattern, each also with a statistic: `*/loss.min`. Raises UnknownMetricError."""
    known = {name for run in runs for name in run.summary.metrics}
    wanted: list[str] = []
    for name in metrics:
        whole, _, statistic = name.rpartition(".")
        has_statistic = name not in known and statistic in STATISTICS
        found = metrics_named([whole if has_statistic else name], runs)
        for each in found:
            if each not in known:
                raise unknown(each, runs)
        wanted += [f"{each}.{statistic}" if has_statistic else each for each in found]
    return wanted


def known_metrics(runs: Sequence[Run]) -> str:
    """Return the sentence that names the metrics of *runs*."""
    return listed(dict.fromkeys(name for run in runs for name in run.summary.metrics))


def unknown(metric: str, runs: Sequence[Run]) -> UnknownMetricError:
    """Return the error for a metric that none of *runs* has."""
    known = dict.fromkeys(name for run in runs for name in run.summary.metrics)
    return UnknownMetricError(metric, runs[0].run_name if len(runs) == 1 else None, known)
