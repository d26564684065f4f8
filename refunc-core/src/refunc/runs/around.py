"""What a run logged around one point of a metric: the answer to "what happened before the loss was NaN"."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from refunc.runs.entry import LogEntry
from refunc.runs.series import Series

#: Which point of a metric is meant: `nan`, `min`, `max`, a step, or what a function says yes to.
Where: TypeAlias = "str | int | Callable[[float], bool]"


class PointNotFoundError(LookupError):
    """A metric has no such point."""


def point_in(series: Series, where: Where) -> int:
    """
    Return the index of the first point of *series* that *where* means.

    Raises:
        PointNotFoundError: There is none.
        ValueError: *where* is another word.
    """
    if callable(where):
        found = (index for index, value in enumerate(series.values) if where(value))
    elif isinstance(where, int):
        found = (index for index, step in enumerate(series.steps) if step == where)
    elif where == "nan":
        found = (index for index, value in enumerate(series.values) if math.isnan(value))
    elif where in ("min", "max"):
        extreme = series.min if where == "min" else series.max
        found = (index for index, value in enumerate(series.values) if value == extreme)
    else:
        raise ValueError(f"where: {where!r} is unknown. Allowed: 'nan', 'min', 'max', a step, a function of the value.")
    index = next(found, None)
    if index is None:
        said = where if isinstance(where, (str, int)) else getattr(where, "__name__", "such a value")
        what = f"step {said}" if isinstance(said, int) else f"point that is {said}"
        raise PointNotFoundError(f"the metric {series.name!r} has no {what} among its {len(series):,} points.")
    return index


def entries_around(entries: Iterable[LogEntry], series: Series, index: int, steps: int) -> list[LogEntry]:
    """
    Return those of *entries* within *steps* of the point *index*, in their order.

    An entry that has no step belongs to it if it was made between the first and the last point that do. Where the point
    itself has no step, so many points to either side say what time that is.
    """
    step = series.steps[index]
    if step is None:
        near: Sequence[int] = range(max(0, index - steps), min(len(series), index + steps + 1))
    else:
        near = [at for at, other in enumerate(series.steps) if other is not None and abs(other - step) <= steps]
    times = [series.times[at] for at in near]
    begin, end = min(times), max(times)

    def belongs(entry: LogEntry) -> bool:
        if step is not None and entry.step is not None:
            return abs(entry.step - step) <= steps
        return begin <= entry.timestamp <= end

    return [entry for entry in entries if belongs(entry)]
