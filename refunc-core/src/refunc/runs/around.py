"""The log entries around one point of a metric, for example those before the loss became NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, Final, TypeAlias

from refunc.journal.rewinds import Rewinds
from refunc.runs.entry import LogEntry
from refunc.runs.errors import PointNotFoundError
from refunc.runs.selected import begins_again
from refunc.runs.series import Series

#: Selects a point of a metric: `nan`, `min`, `max`, a step (an epoch, of a metric without steps), or a function of its
#: value.
Where: TypeAlias = "str | int | float | Callable[[float], bool]"

_NEVER: Final = (math.inf, -math.inf)


def point_in(series: Series, where: Where) -> int:
    """
    Return the index of the first point of *series* that *where* selects.

    Raises:
        PointNotFoundError: There is no such point.
        ValueError: *where* is an unknown word.
    """
    by_epoch = bool(series.epochs) and all(step is None for step in series.steps)
    places = series.epochs if by_epoch else series.steps
    if callable(where):
        found = (index for index, value in enumerate(series.values) if where(value))
    elif isinstance(where, (int, float)):
        found = (index for index, place in enumerate(places) if place == where)
    elif where == "nan":
        found = (index for index, value in enumerate(series.values) if math.isnan(value))
    elif where in ("min", "max"):
        extreme = series.min if where == "min" else series.max
        found = (index for index, value in enumerate(series.values) if value == extreme)
    else:
        raise ValueError(
            f"where: {where!r} is not valid. Allowed: 'nan', 'min', 'max', a step, a function of the value."
        )
    index = next(found, None)
    if index is None:
        said = where if isinstance(where, (str, int, float)) else getattr(where, "__name__", "such a value")
        noun = "epoch" if by_epoch else "step"
        point = f"{noun} {said}" if isinstance(said, (int, float)) else f"point that is {said}"
        known = [place for place in places if place is not None]
        others = f" Its {noun}s are from {min(known)} to {max(known)}." if known else ""
        raise PointNotFoundError(f"the metric {series.name!r} has no {point} among its {len(series):,} points.{others}")
    return index


def entries_around(
    entries: Iterable[LogEntry], series: Series, index: int, steps: int, rewinds: Rewinds
) -> list[LogEntry]:
    """
    Return those of *entries* within *steps* of the point *index*, in their order.

    An entry without a step is included if it was made between the first and the last point in that range. If the point
    itself has no step, the range is *steps* points to either side. If steps restart in each epoch, only entries of the
    point's own epoch are returned. Of several attempts, which *series* names then, an entry counts that no later one
    has taken the place of.

    Args:
        rewinds: Those of the run.
    """
    step = series.steps[index]
    by_epoch = begins_again(series.steps, series.epochs)
    epoch = series.epochs[index] if by_epoch else None

    def is_near(other: float | None, of_epoch: float | None) -> bool:
        return other is not None and abs(other - (step or 0)) <= steps and of_epoch == epoch

    if step is None:
        near: Sequence[int] = range(max(0, index - steps), min(len(series), index + steps + 1))
    else:
        epochs = series.epochs if epoch is not None else repeat(None)
        near = [at for at, (other, of) in enumerate(zip(series.steps, epochs, strict=False)) if is_near(other, of)]
    times = _spans((series.attempts[at], series.times[at]) for at in near)

    def axis_position(step: float, epoch: float | None) -> tuple[float, float]:
        return (epoch or 0, step) if by_epoch else (0, step)

    known = zip(series.attempts, series.steps, series.epochs or repeat(None), strict=False)
    spans = _spans((attempt, axis_position(at, of) if at is not None else None) for attempt, at, of in known)

    def is_replaced(attempt: int, step: float, epoch: float | None) -> bool:
        at = axis_position(step, epoch)
        in_later: list[bool] = [begin <= at <= end for later, (begin, end) in spans.items() if later > attempt]
        return rewinds.hide(attempt, step, epoch) or (len(spans) > 1 and True in in_later)

    def belongs(entry: LogEntry) -> bool:
        if step is None or entry.step is None or (epoch is not None and entry.epoch is None):
            begin, end = times.get(entry.attempt, _NEVER)
            return bool(begin <= entry.timestamp <= end)
        return is_near(entry.step, entry.epoch if epoch is not None else None) and not is_replaced(
            entry.attempt, entry.step, entry.epoch
        )

    return [entry for entry in entries if belongs(entry)]


def _spans(found: Iterable[tuple[Any, Any]]) -> dict[int, tuple[Any, Any]]:
    """Return by attempt the lowest and the highest of its numbers."""
    spans: dict[int, tuple[Any, Any]] = {}
    for attempt, number in found:
        if number is not None:
            low, high = spans.get(attempt, (number, number))
            spans[attempt] = min(low, number), max(high, number)
    return spans
