"""The values of a metric in runs, as a table shows them: the last, the one that was chosen, or a statistic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from refunc.runs.errors import UnknownMetricError
from refunc.runs.expression.asked import CHOSEN, SHOWN
from refunc.runs.expression.values import MISSING
from refunc.runs.run import Run
from refunc.runs.statistics import STATISTICS
from refunc.runs.summary import chosen_part


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

    # A metric of this name in one run is meant in all: another metric's statistic is another quantity.
    path = shown if any(values[chosen] is not MISSING for values in found.values()) else statistic

    def value_of(run: Run) -> Any:
        values = found.get(id(run))
        return values and values[path]

    read = (map(value_of, runs) for runs in groups)
    numbers = [[float(each) for each in some if isinstance(each, (int, float)) and each == each] for some in read]
    return numbers, chosen_part(word for values in found.values() if (word := values[chosen]) is not MISSING)
