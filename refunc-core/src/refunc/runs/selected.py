"""
Which points make up a curve of a run that several processes wrote: by rank, and by attempt.

A curve is rank 0's, or that of the lowest rank that logged the metric. Of several attempts, each step has the value of
the newest; an attempt that went back to a step takes the place of everything that earlier ones logged beyond it.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping
from itertools import compress, repeat
from typing import Any, Final

import attrs

from refunc.journal.rewinds import ResumePoint, Rewinds
from refunc.journal.roles import Role
from refunc.runs.column import NOTHING, form_of
from refunc.runs.points import COLUMNS, Points, merged
from refunc.runs.sample import mean_of
from refunc.runs.selection import Attempts, Selection

_OF_A_STEP: Final[dict[str, Callable[[list[float]], float]]] = {"mean": mean_of, "min": min, "max": max}


def selected(writers: Mapping[str, tuple[Role, Points]], selection: Selection, rewinds: Rewinds) -> Points | None:
    """Return the points of one metric that *selection* asks for; None if there are none."""
    ranks = _by_rank(writers)
    if not ranks:
        return None
    if selection.is_marked or selection.attempts == "all":
        ranks = {
            rank: {attempt: [part.marked(attempts=attempt) for part in parts] for attempt, parts in attempts.items()}
            for rank, attempts in ranks.items()
        }
    if selection.rank is None:
        return _of_attempts(ranks[min(ranks)], selection.attempts, rewinds)
    if isinstance(selection.rank, int):
        found = ranks.get(selection.rank)
        return _of_attempts(found, selection.attempts, rewinds) if found is not None else None
    each = {rank: _of_attempts(found, selection.attempts, rewinds) for rank, found in sorted(ranks.items())}
    if selection.rank == "all":
        return merged([points.marked(ranks=rank) for rank, points in each.items()])
    return _aggregated(list(each.values()), _OF_A_STEP[selection.rank])


def lowest_rank(roles: Iterable[Role]) -> int:
    """Return the rank whose curve stands for a metric that writers with these *roles* logged."""
    return min((role.rank or 0 for role in roles), default=0)


def _by_rank(writers: Mapping[str, tuple[Role, Points]]) -> dict[int, dict[int, list[Points]]]:
    """Return points by rank and attempt."""
    found: dict[int, dict[int, list[Points]]] = {}
    for role, points in writers.values():
        found.setdefault(role.rank or 0, {}).setdefault(role.attempt, []).append(points)
    return found


def _of_attempts(attempts: dict[int, list[Points]], which: Attempts, rewinds: Rewinds) -> Points:
    if which == "all":
        return merged([points for _, parts in sorted(attempts.items()) for points in parts])
    of_each = {attempt: merged(parts) for attempt, parts in attempts.items()}
    by_epoch = len(of_each) > 1 and any(begins_again(points.steps, points.epochs) for points in of_each.values())
    kept: list[Points] = []
    later: set[Any] = set()
    for attempt, points in sorted(of_each.items(), reverse=True):
        behind = rewinds.behind(attempt)
        kept.append(_without(points, later, behind, by_epoch=by_epoch) if later or behind else points)
        if len(of_each) > 1:
            later.update(
                key for key, step in zip(_keys(points, by_epoch), points.steps, strict=True) if not _is_nothing(step)
            )
    return _in_order(merged(kept[::-1]), by_epoch=by_epoch) if len(kept) > 1 else kept[0]


def begins_again(steps: Iterable[Any], epochs: Iterable[Any]) -> bool:
    """Whether a step is lower than one of an epoch before, so that it alone does not identify a point."""
    highest: Any = None
    of_epoch: Any = None
    for step, epoch in zip(steps, epochs, strict=False):
        if step is None or epoch is None or _is_nothing(step) or _is_nothing(epoch):
            continue
        if of_epoch is not None and epoch > of_epoch and step < highest:
            return True
        of_epoch, highest = epoch, step
    return False


def _keys(points: Points, by_epoch: bool) -> Iterable[Any]:
    """Return a key for each point."""
    return zip(_epochs(points), points.steps, strict=True) if by_epoch else points.steps


def _epochs(points: Points) -> Iterable[Any]:
    return points.epochs if len(points.epochs) else repeat(NOTHING, len(points.steps))


def _in_order(points: Points, *, by_epoch: bool) -> Points:
    """Return *points* by their steps: a later attempt may have begun before the last step of an earlier one."""
    if points.stepless:
        return points
    keys = list(_keys(points, by_epoch))
    order = sorted(range(len(keys)), key=keys.__getitem__)

    def of(column: Any) -> Any:
        return array(form_of(column), map(column.__getitem__, order)) if len(column) else column

    return attrs.evolve(points, **{name: of(getattr(points, name)) for name in COLUMNS})


def _without(points: Points, later: set[Any], behind: list[ResumePoint], *, by_epoch: bool) -> Points:
    """Return *points* without those that *later* ones replace, or that lie *behind* a point that was gone back to."""
    if any(point.epoch is not None for point in behind):
        pairs = zip(points.steps, (None if _is_nothing(epoch) else epoch for epoch in _epochs(points)), strict=True)
        beyond = [any(point.is_before(step, epoch) for point in behind) for step, epoch in pairs]
    else:
        limit = min((point.step for point in behind), default=math.inf)
        beyond = [step > limit for step in points.steps]
    mask = [
        _is_nothing(step) or not (is_beyond or key in later)
        for step, key, is_beyond in zip(points.steps, _keys(points, by_epoch), beyond, strict=True)
    ]
    return _picked(points, mask)


def _is_nothing(step: int | float) -> bool:
    return step in (NOTHING,) or step != step


def _picked(points: Points, mask: list[bool]) -> Points:
    def of(column: Any) -> Any:
        return array(form_of(column), compress(column, mask)) if len(column) else column

    return attrs.evolve(points, **{name: of(getattr(points, name)) for name in COLUMNS})


def _aggregated(ranks: list[Points], combine: Callable[[list[float]], float]) -> Points:
    """Return one point for each step that a rank has, with the last values of the ranks combined; NaN is left out."""
    found: dict[int | float, dict[int, tuple[float, float]]] = {}
    for number, points in enumerate(ranks):
        for step, value, time in zip(points.steps, points.values, points.times, strict=True):
            if not _is_nothing(step):
                found.setdefault(step, {})[number] = (value, time)
    steps = array("d" if any(isinstance(step, float) for step in found) else "q", sorted(found))
    values, times = array("d"), array("d")
    for step in steps:
        of_ranks = found[step]
        numbers = [value for value, _ in of_ranks.values() if value == value]
        values.append(combine(numbers) if numbers else math.nan)
        times.append(max(time for _, time in of_ranks.values()))
    return Points(steps, values, times, array("q"), range(0), stepless=False)
