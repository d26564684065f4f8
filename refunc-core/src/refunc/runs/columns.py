"""
One writer's points as columns, in memory as in the index.

Points that are logged together share their steps and times: a *group* is all records of metrics with the same names,
one row a record. A metric that is logged in several company is in several groups, and is put together by the rows'
numbers.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Any, Final

import attrs

from refunc.journal.scan import PointLine
from refunc.runs.summary import Mark, Statistics

#: What stands for a step or an epoch that is not there: a number that nobody counts to.
NOTHING: Final = -(1 << 63)
#: So many companies of metrics a writer has; in further ones each metric is alone, or a hostile run had millions.
_MOST_GROUPS: Final = 256

_FLOATS: Final = ("values", "times")

Step = int | float | None


def _whole_numbers() -> array[int]:
    return array("q")


def _floats() -> array[float]:
    return array("d")


@attrs.define
class Group:
    """
    The rows of the metrics *names* behind the first `stored` ones, which are in the index.

    `values` has a column for each of the names, `rows` the number of each row among all of its writer.
    """

    names: tuple[str, ...]
    stored: int = 0
    rows: array[int] = attrs.Factory(_whole_numbers)
    steps: array[int] = attrs.Factory(_whole_numbers)
    times: array[float] = attrs.Factory(_floats)
    epochs: array[int] = attrs.Factory(_whole_numbers)  # empty while there are none
    values: list[array[float]] = attrs.Factory(lambda self: [_floats() for _ in self.names], takes_self=True)
    #: Whether a row has no step.
    stepless: bool = False

    def points(self, column: int) -> Points:
        """Return the points of one of the metrics that are not in the index."""
        return Points(self.steps, self.values[column], self.times, self.epochs, self.rows, self.stepless)

    def add(self, row: int, time: float, step: Step, epoch: Step, metrics: Mapping[str, float | None]) -> None:
        """Append a row, of the names' values in *metrics*."""
        self.rows.append(row)
        self.times.append(time)
        self.steps.append(self._step(step))
        if epoch is not None or self.epochs:
            missing = len(self.steps) - 1 - len(self.epochs)
            self.epochs.extend([NOTHING] * missing)
            self.epochs.append(_whole(epoch))
        for name, column in zip(self.names, self.values, strict=True):
            column.append(_float(metrics[name]))

    def add_all(self, row: int, points: list[PointLine]) -> None:
        """
        Append rows from the number *row* on: as `add` does one by one, which is left those that are unusual.

        Raises:
            KeyError: A point has other metrics; then nothing is appended.
        """
        metrics: list[dict[str, Any]] = [point.metrics for point in points]
        if set(map(len, metrics)) != {len(self.names)}:
            raise KeyError
        given = [[each[name] for each in metrics] for name in self.names]
        epochs = [point.epoch for point in points]
        has_epochs = bool(self.epochs) or epochs.count(None) < len(epochs)
        try:
            stages = _column(epochs) if has_epochs else _whole_numbers()
            steps = _column([point.step for point in points])
            values = [array("d", column) for column in given]  # None raises
        except (TypeError, OverflowError):
            for number, point in enumerate(points, row):
                self.add(number, point.time, point.step, point.epoch, point.metrics)
            return
        if has_epochs and not self.epochs:
            self.epochs.extend([NOTHING] * len(self.rows))
        self.rows.extend(range(row, row + len(points)))
        self.times.extend([point.time for point in points])
        self.steps.extend(steps)
        self.stepless |= NOTHING in steps
        self.epochs.extend(stages)
        for column, new in zip(self.values, values, strict=True):
            column.extend(new)

    def _step(self, step: Step) -> int:
        number = _whole(step)
        self.stepless |= number == NOTHING
        return number


@attrs.define
class Columns:
    """The points of one writer: in memory those that are not in the index. *count* is the number of the next row."""

    count: int = 0
    groups: dict[tuple[str, ...], Group] = attrs.Factory(dict)
    #: Values in memory.
    size: int = 0

    def add(self, time: float, step: Step, epoch: Step, metrics: Mapping[str, float | None]) -> None:
        """Append the points of one record."""
        names = tuple(metrics)
        group = self.groups.get(names)
        if group is None:
            group = self._new_group(names)
        if group is not None:
            group.add(self.count, time, step, epoch, metrics)
        else:
            for name in names:
                alone = self.groups.get((name,)) or self.groups.setdefault((name,), Group((name,)))
                alone.add(self.count, time, step, epoch, metrics)
        self.count += 1
        self.size += len(names)

    def add_all(self, points: list[PointLine]) -> None:
        """Append the points of many records."""
        try:
            self._add_alike(tuple(points[0].metrics), points)
        except KeyError:
            for names, found in groupby(points, key=_names_of):
                self._add_alike(names, list(found))

    def _add_alike(self, names: tuple[str, ...], points: list[PointLine]) -> None:
        """Append points of the metrics *names*. Raises KeyError where one has others; then nothing is appended."""
        group = self.groups.get(names) or self._new_group(names)
        if group is None:
            for point in points:
                self.add(point.time, point.step, point.epoch, point.metrics)
            return
        group.add_all(self.count, points)
        self.count += len(points)
        self.size += len(points) * len(names)

    def _new_group(self, names: tuple[str, ...]) -> Group | None:
        if len(self.groups) >= _MOST_GROUPS and len(names) > 1:
            return None
        return self.groups.setdefault(names, Group(names))

    def of(self, name: str) -> list[Group]:
        """Return the groups that have the metric *name*."""
        return [group for group in self.groups.values() if name in group.names]

    def statistics(self, known: Mapping[str, Statistics]) -> dict[str, Statistics]:
        """Return what the points in memory come to, behind those whose statistics are *known*."""
        parts: dict[str, list[Points]] = {}
        for group in self.groups.values():
            for column, name in enumerate(group.names if group.rows else ()):
                parts.setdefault(name, []).append(group.points(column))
        return {**known, **{name: _continued(known.get(name), joined(found)) for name, found in parts.items()}}

    def forget(self) -> None:
        """Let go of the points in memory, which are in the index now."""
        self.size = 0
        for names, group in self.groups.items():
            self.groups[names] = Group(names, group.stored + len(group.rows))


@attrs.frozen
class Points:
    """
    The points of one metric as columns: arrays, or buffers of the same kind.

    `rows` are empty where the points are not to be joined with others, and `epochs` where there are none.
    """

    steps: array[int]
    values: array[float]
    times: array[float]
    epochs: array[int]
    rows: array[int]
    stepless: bool


def appended(parts: list[Points]) -> Points:
    """Return points that come one behind the other as one."""
    if len(parts) == 1:
        return parts[0]
    has_epochs = any(len(part.epochs) for part in parts)
    columns: list[Any] = [
        memoryview(b"".join(getattr(part, name) for part in parts)).cast("d" if name in _FLOATS else "q")
        for name in ("steps", "values", "times")
    ]
    stages = [part.epochs if len(part.epochs) else _nothing(part) for part in parts] if has_epochs else []
    columns += [memoryview(b"".join(column)).cast("q") for column in (stages, [part.rows for part in parts])]
    steps, values, times, epochs, rows = columns
    return Points(steps, values, times, epochs, rows, any(part.stepless for part in parts))


def _nothing(points: Points) -> array[int]:
    return array("q", [NOTHING]) * len(points.steps)


def joined(parts: list[Points]) -> Points:
    """Return one writer's points in several groups as one, in the order of their rows."""
    return parts[0] if len(parts) == 1 else _merged(parts, [part.rows for part in parts])


def merged(writers: list[Points]) -> Points:
    """
    Return several writers' points as one, by time.

    Each writer's order stays: a clock that is set back does not change it.
    """
    if len(writers) == 1:
        return writers[0]
    return _merged(writers, [array("d", accumulate(points.times, max)) for points in writers])


def _merged(parts: list[Points], keys: Sequence[Iterable[float]]) -> Points:
    order = [(key, part, at) for part, column in enumerate(keys) for at, key in enumerate(column)]
    order.sort(key=itemgetter(0))  # stable: of equal ones, the earlier part's come first
    columns: list[Any] = []
    for name in ("steps", "values", "times", "epochs", "rows"):
        sources = [getattr(part, name) for part in parts]
        if not any(len(source) for source in sources):
            columns.append(array("q"))
            continue
        sources = [source if len(source) else _nothing(part) for source, part in zip(sources, parts, strict=True)]
        columns.append(array("d" if name in _FLOATS else "q", (sources[part][at] for _, part, at in order)))
    steps, values, times, epochs, rows = columns
    return Points(steps, values, times, epochs, rows, any(part.stepless for part in parts))


def _continued(known: Statistics | None, points: Points) -> Statistics:
    values, total = points.values, sum(points.values)
    nans = 0
    numbers = values
    indices: Sequence[int] = range(len(values))
    if total != total:
        pairs = [(index, value) for index, value in enumerate(values) if value == value]
        nans = len(values) - len(pairs)
        indices, numbers = [index for index, _ in pairs], array("d", [value for _, value in pairs])
        total = sum(numbers)
    before = known.last.at if known is not None and known.last is not None else -math.inf

    marks: dict[int, Mark] = {}  # a hostile run has a hundred thousand metrics of one point, which is all four

    def mark(index: int) -> Mark:
        known_mark = marks.get(index)
        if known_mark is None:
            latest = max(points.times[: index + 1])
            at = max(before, latest)
            step = points.steps[index]
            known_mark = marks[index] = Mark(at, values[index], None if step == NOTHING else step)
        return known_mark

    low, high = (mark(indices[numbers.index(extreme(numbers))]) if len(numbers) else None for extreme in (min, max))
    new = Statistics(len(values), nans, total, mark(0), mark(len(values) - 1), low, high)
    return new if known is None else known.joined(new)


def _names_of(point: PointLine) -> tuple[str, ...]:
    return tuple(point.metrics)


def _column(numbers: list[Any]) -> array[int]:
    """Return steps or epochs as int64. Raises TypeError or OverflowError where one is a float, or too large."""
    try:
        return array("q", numbers)
    except TypeError:
        return array("q", [NOTHING if number is None else number for number in numbers])


def _whole(number: Step) -> int:
    """Return a step or epoch as int64; NOTHING where it is none."""
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    return number if isinstance(number, int) and abs(number) < -NOTHING else NOTHING


def _float(value: float | None) -> float:
    try:
        return float(value) if value is not None else math.nan
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]  # None is dealt with above
