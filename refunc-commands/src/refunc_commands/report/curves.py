"""The curves of a report: of runs, of their ranks, or bands of groups, thinned out to the room on the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from refunc.runs.bands import Band, Center, Spread
from refunc.runs.errors import UnknownMetricError
from refunc.runs.groups import Groups, Runs
from refunc.runs.ranks import ranks_drawn
from refunc.runs.run import Run
from refunc.runs.selection import Ranks, Selection
from refunc.runs.series import FEWEST
from refunc.runs.summary import MetricSummary
from refunc.runs.thinning import Thinned
from refunc.values.quantities import counted
from refunc_commands.report.room import Room

#: The most points drawn, of all curves together; and the share that each curve has at least.
MAX_POINTS: Final = 24_000
MAX_CURVE: Final = 6_000
#: The most curves drawn, of runs or groups; the values of further metrics are only in the table.
CURVES: Final = 400
#: The most points of a band: three columns.
_BAND_POINTS: Final = 500
#: Characters of the name of a metric, and of a group.
_LONG: Final = 2_000
_FACT: Final = 200

#: Makes a text of a user one that can be shown, of at most so many characters.
Short = Callable[[str, int], str]


@attrs.frozen
class Drawing:
    """
    Which curves are drawn.

    They are those of a rank, those of each rank ("all"), or bands of the runs with equal values of *groups*.
    """

    rank: Ranks = None
    groups: tuple[str, ...] = ()
    center: Center = "mean"
    spread: Spread = "std"
    max_points: int = MAX_POINTS


@attrs.frozen
class Of:
    """The runs of a report, and the summaries of their metrics, which say which curves can be drawn."""

    runs: Sequence[Run]
    metrics: Sequence[dict[str, MetricSummary]]

    def having(self) -> dict[str, list[int]]:
        """
        Return by each metric with a curve the numbers of the runs that have it; those of the system come last.

        A metric of one point in each run, such as a result, has none: the tables have its values.
        """
        found: dict[str, list[int]] = {}
        drawn: set[str] = set()
        for number, each in enumerate(self.metrics):
            for name, metric in each.items():
                if metric.count:
                    found.setdefault(name, []).append(number)
                if metric.count > 1:
                    drawn.add(name)
        found = {name: numbers for name, numbers in found.items() if name in drawn}
        return dict(sorted(found.items(), key=lambda item: (item[0].startswith("system/"), item[0])))


def charts_of(of: Of, drawing: Drawing, room: Room, short: Short) -> dict[str, Any]:
    """
    Return a chart for each metric, as many as there is room for, and the number of those that are left out.

    Raises:
        ExpressionError: A name to group by is not valid, or no run has it.
    """
    having = of.having()
    groups = Runs(of.runs).group_by(*drawing.groups) if drawing.groups else None
    group_of = {id(run): at for at, group in enumerate(groups or ()) for run in group.runs}
    shown: list[str] = []
    left = CURVES
    for name, numbers in having.items():
        count = len({group_of.get(id(of.runs[number])) for number in numbers}) if groups else len(numbers)
        if count <= left:
            shown.append(name)
            left -= count
    curves = _curves_of(of, drawing, groups, {name: having[name] for name in shown}, short)
    charts = ({"name": short(name, _LONG), "curves": list(curves(name))} for name in shown)
    drawn = room.kept(charts, room.left)
    return {"left_out": len(having) - len(drawn), "list": drawn, "bands": _said(drawing)}


def _said(drawing: Drawing) -> str:
    """Return the meaning of a band, in words; empty without groups."""
    if not drawing.groups:
        return ""
    spread = {"std": "one standard deviation to either side", "quartiles": "the quartiles", "minmax": "all values"}
    return f"{drawing.center} of the runs with equal {', '.join(drawing.groups)}; the band is {spread[drawing.spread]}"


def _curves_of(
    of: Of, drawing: Drawing, groups: Groups | None, having: dict[str, list[int]], short: Short
) -> Callable[[str], Iterator[dict[str, Any]]]:
    """Return a function of a metric's name, which yields its curves."""
    if groups is not None:
        return lambda name: _bands(groups, name, drawing, short)
    if drawing.rank == "all":
        slots: dict[tuple[int, int], int] = {}
        return lambda name: _ranks(of, having[name], name, slots, drawing.max_points // len(having), short)
    lengths = [of.metrics[number][name].count for name, numbers in having.items() for number in numbers]
    most = _fair_share(lengths, drawing.max_points)
    return lambda name: _single(of, having[name], name, most, Selection(drawing.rank), short)


def _single(
    of: Of, numbers: list[int], name: str, most: int, selection: Selection, short: Short
) -> Iterator[dict[str, Any]]:
    for number in numbers:
        try:
            [thinned] = of.runs[number].thinned([name], most, selection=selection, is_numbered=True)
        except UnknownMetricError:  # its folder was removed meanwhile
            continue
        curve = _curve(thinned, short)
        yield {"run": number, "slot": number, **curve, **_best(of.metrics[number][name], curve)}


def _ranks(
    of: Of, numbers: list[int], name: str, slots: dict[tuple[int, int], int], max_points: int, short: Short
) -> Iterator[dict[str, Any]]:
    for number in numbers:
        run = of.runs[number]
        ranks = ranks_drawn(run, name)
        most = max(FEWEST, min(MAX_CURVE, max_points // (len(ranks) * len(numbers) or 1)))
        for rank in ranks:
            slot = slots.setdefault((number, rank), len(slots))
            [thinned] = run.thinned([name], most, selection=Selection(rank), is_numbered=True)
            curve = _curve(thinned, short)
            yield {"run": number, "slot": slot, "rank": rank, **curve}


def _bands(groups: Groups, name: str, drawing: Drawing, short: Short) -> Iterator[dict[str, Any]]:
    slots = {id(group.key): slot for slot, group in enumerate(groups)}
    sizes = {id(group.key): len(group.runs) for group in groups}
    points = max(FEWEST, min(_BAND_POINTS, drawing.max_points // (3 * len(groups))))
    for band in groups.metric(name).bands(center=drawing.center, spread=drawing.spread, max_points=points):
        size = sizes[id(band.key)]
        label = short(f"{band.label} ({counted(size, 'run')})", _FACT)
        yield {"slot": slots[id(band.key)], "label": label, **_band(band, short)}


def _band(band: Band, short: Short) -> dict[str, Any]:
    columns = {"x": (band.x, 12), "y": (band.center, 7), "low": (band.low, 7), "high": (band.high, 7)}
    numbers = {name: [_digits(value, digits) for value in column] for name, (column, digits) in columns.items()}
    odd = sum(not math.isfinite(value) for value in band.center)
    return {"of": len(band), "odd": odd, "x_name": short(band.x_name, _LONG), **numbers, "n": list(band.n)}


def _fair_share(lengths: list[int], max_points: int) -> int:
    """Return the most points of one curve so that all have *max_points* in total; short ones leave room for others."""
    room, share = max_points, max_points
    for place, length in enumerate(sorted(lengths)):
        share = room // (len(lengths) - place)
        if length > share:
            break
        room -= length
    return max(FEWEST, min(MAX_CURVE, share))


def _curve(thinned: Thinned, short: Short) -> dict[str, Any]:
    series = thinned.series
    return {
        "of": thinned.of,
        "odd": thinned.odd,
        "x_name": short(series.x_name, _LONG),
        "x": [None if value is None or value != value else _digits(value, 12) for value in series.x],
        "y": [_digits(value, 7) for value in series.values],
    }


def _best(metric: MetricSummary, curve: dict[str, Any]) -> dict[str, Any]:
    best, step = metric.best, metric.best_step
    if curve["x_name"] != "step" or best is None or step is None or not math.isfinite(best):
        return {}
    return {"best": [_digits(step, 12), _digits(best, 7)]}


def _digits(value: float, digits: int) -> float | int:
    """Return *value* rounded to *digits* significant digits."""
    if not math.isfinite(value):
        return value
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
