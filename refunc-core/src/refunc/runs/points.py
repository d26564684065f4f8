"""The points of one metric as columns, and how those of several parts, groups or writers become one."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any, Final

import attrs

from refunc.runs.column import NOTHING, AxisColumn, RowNumbers, form_of, fractions


def _no_numbers() -> array[int]:
    return array("q")


@attrs.frozen
class Points:
    """
    The points of one metric as columns: arrays, or buffers of the same kind.

    `rows` are empty if the points will not be joined with others, `epochs` if there are none, and `ranks` and
    `attempts` unless they are asked for.
    """

    steps: AxisColumn
    values: array[float]
    times: array[float]
    epochs: AxisColumn
    rows: RowNumbers
    stepless: bool
    ranks: array[int] = attrs.Factory(_no_numbers)
    attempts: array[int] = attrs.Factory(_no_numbers)

    def marked(self, **numbers: int) -> Points:
        """Return the points with the same number in a column for each of them: `ranks`, `attempts`."""
        columns: dict[str, Any] = {name: array("q", [number]) * len(self.steps) for name, number in numbers.items()}
        return attrs.evolve(self, **columns)


#: The columns of points, without the numbers of their rows, of which nothing is asked once they are joined.
COLUMNS: Final = ("steps", "values", "times", "epochs", "ranks", "attempts")


def appended(parts: list[Points]) -> Points:
    """Return consecutive parts as one."""
    if len(parts) == 1:
        return parts[0]
    has_epochs = any(len(part.epochs) for part in parts)
    stages = [part.epochs if len(part.epochs) else _nothing(part) for part in parts] if has_epochs else []
    return Points(
        _joined([part.steps for part in parts]),
        _joined([part.values for part in parts]),
        _joined([part.times for part in parts]),
        _joined(stages),
        all_rows([part.rows for part in parts]),
        any(part.stepless for part in parts),
    )


def _joined(columns: list[Any]) -> Any:
    forms = {form_of(column) for column in columns}
    if len(forms) > 1:
        columns = [column if form_of(column) == "d" else fractions(column) for column in columns]
    return memoryview(b"".join(columns)).cast("d" if "d" in forms else "q")


def all_rows(parts: list[RowNumbers]) -> RowNumbers:
    """Return the rows' numbers of consecutive parts as one column."""
    ranges = [part for part in parts if isinstance(part, range)]
    if len(ranges) == len(parts) and all(part.start == before.stop for before, part in pairwise(ranges)):
        return range(ranges[0].start, ranges[-1].stop)
    found: array[int] = _joined([array("q", part) if isinstance(part, range) else part for part in parts])
    return found


def _nothing(points: Points) -> array[int]:
    return array("q", [NOTHING]) * len(points.steps)


def joined(parts: list[Points]) -> Points:
    """Return one writer's points in several groups as one, in the order of their rows."""
    return parts[0] if len(parts) == 1 else _merged(parts, [part.rows for part in parts])


def merged(writers: list[Points]) -> Points:
    """
    Return several writers' points as one, by time.

    Each writer's order is kept: a clock that is set back does not change it.
    """
    if len(writers) == 1:
        return writers[0]
    return _merged(writers, [array("d", accumulate(points.times, max)) for points in writers])


def _merged(parts: list[Points], keys: Sequence[Iterable[float]]) -> Points:
    order = [(key, part, at) for part, column in enumerate(keys) for at, key in enumerate(column)]
    order.sort(key=itemgetter(0))  # stable: among equal ones, those of the earlier part come first
    columns: list[Any] = []
    for name in COLUMNS:
        sources = [getattr(part, name) for part in parts]
        if not any(len(source) for source in sources):
            columns.append(array("q"))
            continue
        sources = [source if len(source) else _nothing(part) for source, part in zip(sources, parts, strict=True)]
        forms = {form_of(source) for source in sources}
        if len(forms) > 1:
            sources = [source if form_of(source) == "d" else fractions(source) for source in sources]
        columns.append(array("d" if "d" in forms else "q", (sources[part][at] for _, part, at in order)))
    steps, values, times, epochs, ranks, attempts = columns
    return Points(steps, values, times, epochs, range(0), any(part.stepless for part in parts), ranks, attempts)
