"""
One writer's points as columns, in memory as in the index.

Points that are logged together share their steps and times: a *group* is all records of metrics with the same names,
one row per record. A metric that is logged together with varying others is in several groups, which are merged by the
rows' numbers.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import attrs

from refunc.journal.scan import PointLine
from refunc.runs.column import (
    NOTHING,
    AxisColumn,
    AxisValue,
    RowNumbers,
    axis_value,
    column_of,
    extended,
    float_of,
    form_of,
    numbered,
)
from refunc.runs.points import Points, joined
from refunc.runs.room import Room
from refunc.runs.summary import Mark, Statistics

#: The most groups of a writer; after that each metric gets its own, because a hostile run could have millions.
_MOST_GROUPS: Final = 256


def _whole_numbers() -> array[int]:
    return array("q")


def _floats() -> array[float]:
    return array("d")


@attrs.define
class RowGroup:
    """
    The rows of the metrics *names* after the first `stored` ones, which are in the index.

    `values` has a column for each of the names; `rows` has the number of each row among all rows of its writer.
    """

    names: tuple[str, ...]
    stored: int = 0
    rows: RowNumbers = range(0)
    steps: AxisColumn = attrs.Factory(_whole_numbers)
    times: array[float] = attrs.Factory(_floats)
    epochs: AxisColumn = attrs.Factory(_whole_numbers)  # empty until the first epoch
    values: list[array[float]] = attrs.Factory(lambda self: [_floats() for _ in self.names], takes_self=True)
    #: Whether a row has no step.
    stepless: bool = False

    def copied(self) -> RowGroup:
        """Return the same with arrays of its own."""
        columns = {name: getattr(self, name)[:] for name in ("rows", "steps", "times", "epochs")}
        return attrs.evolve(self, values=[column[:] for column in self.values], **columns)

    def points(self, column: int) -> Points:
        """Return the points of one of the metrics that are not in the index."""
        return Points(self.steps, self.values[column], self.times, self.epochs, self.rows, self.stepless)

    def add(
        self, row: int, time: float, step: AxisValue, epoch: AxisValue, metrics: Mapping[str, float | None]
    ) -> None:
        """Append a row with the names' values in *metrics*."""
        self.rows = numbered(self.rows, row, 1)
        self.times.append(time)
        self._add_steps(column_of([step]))
        if epoch is not None or self.epochs:
            self._add_epochs(column_of([epoch]))
        for name, column in zip(self.names, self.values, strict=True):
            column.append(float_of(metrics[name]))

    def add_all(self, row: int, points: list[PointLine]) -> None:
        """
        Append rows with numbers from *row* on, faster than `add`, which handles unusual ones.

        Raises:
            KeyError: A point has other metrics; nothing was appended.
        """
        metrics: list[dict[str, Any]] = [point.metrics for point in points]
        if set(map(len, metrics)) != {len(self.names)}:
            raise KeyError
        given = [[each[name] for each in metrics] for name in self.names]
        epochs = [point.epoch for point in points]
        has_epochs = bool(self.epochs) or epochs.count(None) < len(epochs)
        try:
            values = [array("d", column) for column in given]  # None raises
        except (TypeError, OverflowError):
            for number, point in enumerate(points, row):
                self.add(number, point.time, point.step, point.epoch, point.metrics)
            return
        self.rows = numbered(self.rows, row, len(points))
        self.times.extend(array("d", [point.time for point in points]))
        self._add_steps(column_of([point.step for point in points]))
        if has_epochs:
            self._add_epochs(column_of(epochs))
        for column, new in zip(self.values, values, strict=True):
            column.extend(new)

    def append(self, later: RowGroup, row: int) -> None:
        """Append the rows of *later*, whose numbers count from *row* on instead of 0."""
        rows = later.rows
        if isinstance(rows, range):
            self.rows = numbered(self.rows, row + rows.start, len(rows))
        else:
            self.rows = array("q", self.rows)
            self.rows.extend(array("q", [row + number for number in rows]))
        self.times.extend(later.times)
        self.stepless |= later.stepless
        self.steps = extended(self.steps, later.steps)
        if later.epochs or self.epochs:
            self._add_epochs(later.epochs or array("q", [NOTHING]) * len(later.steps))
        for column, new in zip(self.values, later.values, strict=True):
            column.extend(new)

    def _add_steps(self, steps: AxisColumn) -> None:
        self.stepless |= NOTHING in steps if form_of(steps) == "q" else any(step != step for step in steps)
        self.steps = extended(self.steps, steps)

    def _add_epochs(self, epochs: AxisColumn) -> None:
        """Append epochs aligned with the steps; rows before the first epoch have none."""
        missing = len(self.steps) - len(epochs) - len(self.epochs)
        before = extended(self.epochs, array("q", [NOTHING]) * missing)
        self.epochs = extended(before, epochs)


@attrs.define
class Columns:
    """The points of one writer, in memory only those not in the index. *count* is the number of the next row."""

    count: int = 0
    groups: dict[tuple[str, ...], RowGroup] = attrs.Factory(dict)
    #: Values in memory.
    size: int = 0
    #: The room that the run has left, and the number of values that were left out.
    room: Room = attrs.Factory(Room)
    left_out: int = 0
    #: The groups of each metric, as of a number of groups.
    _groups_of: dict[str, list[tuple[RowGroup, int]]] = attrs.field(factory=dict, init=False, eq=False, repr=False)
    _groups_known: int = attrs.field(default=0, init=False, eq=False, repr=False)

    def copied(self) -> Columns:
        """Return the same with groups of its own."""
        groups = {names: group.copied() for names, group in self.groups.items()}
        return Columns(self.count, groups, self.size, left_out=self.left_out)

    def add(self, time: float, step: AxisValue, epoch: AxisValue, metrics: Mapping[str, float | None]) -> None:
        """Append the points of one record, as far as the run has room for their metrics."""
        names = tuple(metrics)
        group = self.groups.get(names)
        if group is None:
            admitted = tuple(self.room.admit(names))
            if len(admitted) < len(names):
                self.left_out += len(names) - len(admitted)
                if admitted:
                    self.add(time, step, epoch, {name: metrics[name] for name in admitted})
                return
            group = self._new_group(names)
        if group is not None:
            group.add(self.count, time, step, epoch, metrics)
        else:
            for name in names:
                alone = self.groups.get((name,)) or self._new_group((name,))
                if alone is not None:
                    alone.add(self.count, time, step, epoch, metrics)
                else:
                    self.left_out += 1
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
        """Append points of the metrics *names*. Raises KeyError if one has others; nothing was appended then."""
        group = self.groups.get(names)
        if group is None and len(self.room.admit(names)) == len(names):
            group = self._new_group(names)
        if group is None:
            for point in points:
                self.add(point.time, point.step, point.epoch, point.metrics)
            return
        group.add_all(self.count, points)
        self.count += len(points)
        self.size += len(points) * len(names)

    def admit(self, later: Columns) -> bool:
        """Whether there is room for all groups of *later*, as if its rows were added one by one; makes those groups."""
        if later.left_out or len(later.groups) >= _MOST_GROUPS:
            return False
        new = [names for names in later.groups if names not in self.groups]
        for names in new:
            if len(self.room.admit(names)) < len(names) or self._new_group(names) is None:
                for other in new:
                    if self.groups.pop(other, None) is not None:
                        self.room.give_back_columns(len(other))
                return False
        return True

    def append(self, later: Columns) -> None:
        """Append the rows of *later*, which begin with number 0, and whose groups are admitted."""
        for names, group in later.groups.items():
            self.groups[names].append(group, self.count)
            self.size += len(group.rows) * len(names)
        self.count += later.count

    def _new_group(self, names: tuple[str, ...]) -> RowGroup | None:
        if len(self.groups) >= _MOST_GROUPS and len(names) > 1:
            return None
        if not self.room.admit_columns(len(names)):
            return None
        return self.groups.setdefault(names, RowGroup(names))

    def of(self, name: str) -> list[tuple[RowGroup, int]]:
        """Return the groups that have the metric *name*, each with the number of its column."""
        if self._groups_known != len(self.groups):
            self._groups_of = {}
            for group in self.groups.values():
                for at, each in enumerate(group.names):
                    self._groups_of.setdefault(each, []).append((group, at))
            self._groups_known = len(self.groups)
        return self._groups_of.get(name, [])

    def statistics(self, known: Mapping[str, Statistics]) -> dict[str, Statistics]:
        """Return the statistics with the points in memory added to the *known* ones."""
        parts: dict[str, list[Points]] = {}
        for group in self.groups.values():
            for column, name in enumerate(group.names if group.rows else ()):
                parts.setdefault(name, []).append(group.points(column))
        return {**known, **{name: _continued(known.get(name), joined(found)) for name, found in parts.items()}}

    def forget(self) -> None:
        """Drop the points in memory, which are in the index now."""
        self.size = self._groups_known = 0
        for names, group in self.groups.items():
            self.groups[names] = RowGroup(names, group.stored + len(group.rows))


def statistics_of(points: Points | None) -> Statistics:
    """Return the statistics of *points*."""
    if points is None or not len(points.values):
        return Statistics()
    return _continued(None, attrs.evolve(points, values=array("d", points.values)))  # those of the index are a buffer


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

    low, high = (indices[numbers.index(extreme(numbers))] if len(numbers) else None for extreme in (min, max))
    # Shared, since a hostile run may have a hundred thousand metrics whose one point is all four.
    marks: dict[int | None, Mark | None] = {None: None}
    begin, latest = 0, before
    for index in sorted({index for index in (0, low, high, len(values) - 1) if index is not None}):
        of_these = max(points.times[begin : index + 1])
        latest = max(latest, of_these)
        marks[index] = Mark(latest, values[index], axis_value(points.steps[index]))
        begin = index + 1
    new = Statistics(len(values), nans, total, marks[0], marks[len(values) - 1], marks[low], marks[high])
    return new if known is None else known.joined(new)


def _names_of(point: PointLine) -> tuple[str, ...]:
    return tuple(point.metrics)
