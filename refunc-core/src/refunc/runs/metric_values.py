"""The value of a metric in runs, as a table shows it: the last one, the one that was chosen, or a statistic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from refunc.runs.errors import UnknownMetricError
from refunc.runs.expression.asked import CHOSEN, SHOWN
from refunc.runs.expression.values import MISSING
from refunc.runs.facts import facts_of
from refunc.runs.run import Run
from refunc.runs.statistics import STATISTICS
from refunc.runs.summary import chosen_part


def value_in(run: Run, name: str) -> float | None:
    """Return the value of a metric that a table shows, or that of its statistic: `val/loss.min`; None without one."""
    path = ("metrics", *name.split("."))
    metric = run.summary.metrics.get(name)
    value = metric.shown if metric is not None else facts_of(run, [path])[path]
    return float(value) if isinstance(value, (int, float)) and value == value else None


def values_shown(name: str, groups: Sequence[Sequence[Run]]) -> tuple[list[list[float]], str]:
    """
    Return the values of a metric in the runs of each group, and the ending of its name; see `chosen_part`.

    A run that cannot be read meanwhile does not count.

    Raises:
        UnknownMetricError: No run has the metric.
    """
    from refunc.runs.query import values_by_run

    parts = name.split(".")
    shown, chosen, statistic = (SHOWN, *parts), (CHOSEN, *parts), ("metrics", *parts)
    whole = (CHOSEN, *(parts[:-1] if parts[-1] in STATISTICS else parts))
    every = [run for runs in groups for run in runs]
    found = values_by_run(every, frozenset((shown, chosen, statistic, whole)))
    if every and all(values[chosen] is MISSING and values[whole] is MISSING for values in found.values()):
        raise UnknownMetricError(name, None, {known for run in every for known in run.summary.metrics})

    def value_of(run: Run) -> Any:
        values = found.get(id(run))
        return values and values[statistic if values[chosen] is MISSING else shown]

    read = (map(value_of, runs) for runs in groups)
    numbers = [[float(each) for each in some if isinstance(each, (int, float)) and each == each] for some in read]
    return numbers, chosen_part(word for values in found.values() if (word := values[chosen]) is not MISSING)
