"""The charts of a question: curves of runs, bands of groups, or a metric against a value of the runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from refunc.runs.bands import Band
from refunc.runs.errors import UnknownMetricError
from refunc.runs.expression.values import number_of
from refunc.runs.groups import Groups
from refunc.runs.metric_values import values_shown
from refunc.runs.query import evaluated
from refunc.runs.ranks import ranks_drawn
from refunc.runs.run import Run
from refunc.runs.selection import Ranks
from refunc.runs.series import Series
from refunc_commands.plotting.patterns import unknown


@attrs.frozen
class Line:
    """
    One curve, band or scatter. All columns have the same length; a point without an x is not drawn.

    `low` and `high` are those of a band, and None for a single curve. `of` is the run, or None for a group.
    """

    label: str
    metric: str
    x_name: str
    x: Sequence[float | None]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    note: str = ""
    is_joined: bool = True
    of: Run | None = None
    rank: Ranks = None
    series: Series | None = None
    band: Band | None = None

    @property
    def drawn_x(self) -> list[float]:
        """The x of each point; NaN for none."""
        return [math.nan if value is None else value for value in self.x]


@attrs.frozen
class Chart:
    """Lines on the same axes."""

    title: str
    x_name: str
    lines: list[Line]


def charts(lines: Iterable[Line], *, together: bool) -> list[Chart]:
    """
    Return a chart for each metric and x axis; with *together* one for each x axis.

    Lines with different x axes never share a chart.
    """
    found: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        found.setdefault(("" if together else line.metric, line.x_name), []).append(line)
    return [
        Chart(metric or ", ".join(dict.fromkeys(line.metric for line in of)), x_name, of)
        for (metric, x_name), of in found.items()
    ]


def without_single_values(drawn: Sequence[Chart]) -> tuple[list[Chart], list[Chart]]:
    """Return the charts to draw, and those of metrics with one value in each run or group, which are a table."""
    single = [each for each in drawn if all(line.is_joined and len(line.y) <= 1 for line in each.lines)]
    return [each for each in drawn if each not in single], single


def table_of(single: Sequence[Chart]) -> tuple[list[str], list[list[float | str | None]]]:
    """Return the head of a table of single values, and a row for each run or group: its label, then its values."""
    values: dict[tuple[str, str], list[float | str | None]] = {}
    for at, each in enumerate(single, 1):
        for line in each.lines:
            key = (line.label, line.of.run_id if line.of is not None else "")
            row = values.setdefault(key, [line.label, *[None] * len(single)])
            row[at] = line.y[0] if len(line.y) else None
    return ["run", *(each.title for each in single)], list(values.values())


def curves(runs: Sequence[Run], metric: str, rank: Ranks) -> list[Line]:
    """
    Return the curves of the runs that have the metric; of several ranks one each for the rank "all".

    Raises:
        UnknownMetricError: No run has the metric.
    """
    found: list[Line] = []
    for run in runs:
        try:
            whole: list[tuple[Ranks, Series]] = [(rank, run.metrics(metric, rank=rank))] if rank != "all" else []
            of_ranks = whole or [*_of_ranks(run, metric)]
        except UnknownMetricError:
            continue
        for of, series in of_ranks:
            series = series.numbered()
            found.append(
                Line(run.run_name, metric, series.x_name, series.x, series.values, of=run, rank=of, series=series)
            )
    if not found:
        raise unknown(metric, runs)
    return found


def _of_ranks(run: Run, metric: str) -> Iterator[tuple[Ranks, Series]]:
    """Yield the curves of the first ranks that logged the metric. Raises UnknownMetricError."""
    for rank in ranks_drawn(run, metric):
        yield rank, run.metrics(metric, rank=rank)


def banded(groups: Groups, metric: str, **choices: Any) -> list[Line]:
    """
    Return a band for each group, and for each x axis in it.

    Args:
        choices: See `GroupedMetric.bands`.

    Raises:
        UnknownMetricError: No run has the metric.
    """
    found = groups.metric(metric).bands(**choices)
    if not found:
        raise unknown(metric, [run for group in groups for run in group.runs])
    counts = {id(group.key): len(group.runs) for group in groups}  # 1 and True are equal, but two groups
    lines = []
    for band in found:
        most = max(band.n, default=0)
        count = counts[id(band.key)]
        having = f"{most} of {count}" if most < count else f"{most}"
        note = f"{having} run{'s' * (count != 1)}"
        if band.n[-1] < most:  # seeds that stopped early
            note += f", {band.n[-1]} at the end"
        lines.append(
            Line(band.label, metric, band.x_name, band.x, band.center, band.low, band.high, note=note, band=band)
        )
    return lines


def scattered(runs: Sequence[Run], metric: str, against: str) -> Line:
    """
    Return a point for each run: the metric's value in a table, over the value of an expression such as `params.lr`.

    The metric may have a statistic: `val/loss.min`.

    Raises:
        ExpressionError: *against* is not valid, or no run has it.
        ValueError: No run has numbers for both.
    """
    x: list[float] = []
    y: list[float] = []
    given = evaluated(runs, [against])
    shown, part = values_shown(metric, [[run] for run, _ in given])
    for (_, (place,)), values in zip(given, shown, strict=True):
        number = number_of(place)
        if number is not None and values:
            x.append(float(number))
            y += values
    if not x:
        raise ValueError(
            f"{against} and {metric} are in no run as numbers. --group {against} draws one band for each value."
        )
    left_out = len(runs) - len(x)
    note = f"{len(x)} run{'s' * (len(x) != 1)}" + (f", {left_out} without both values" if left_out else "")
    label = metric + part
    return Line(label, label, against, x, y, note=note, is_joined=False)
