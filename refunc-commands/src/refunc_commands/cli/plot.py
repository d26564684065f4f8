"""`refunc plot`: curves of metrics in the terminal."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from typing import Any

import attrs
import click
from rich.text import Text

from refunc.runs.errors import UnknownMetricError
from refunc.runs.run import Run
from refunc.runs.selection import Ranks
from refunc.runs.series import FEWEST, Series
from refunc_commands.cli.chart import COLORS, Curve, chart
from refunc_commands.cli.choosing import Choice, choosing, chosen
from refunc_commands.cli.failure import Number
from refunc_commands.cli.finding import (
    json_option,
    metrics_option,
    rank_option,
    refuse_missing,
    store_option,
)
from refunc_commands.cli.screen import number, of_rank, print_json, print_lines, shown, window_width

#: Columns and lines of a chart if stdout is not a terminal.
_COLUMNS, _LINES = 100, 20
#: Points of a curve for each column that it is drawn in: more than a column has dots.
_DENSITY = 16
#: The most ranks of a run that have a curve each.
_MOST_RANKS = 64

_EXAMPLES = """\b
Examples:
  refunc plot resnet_v1 -m loss
  refunc plot resnet_v1 resnet_v2 -m val/loss --log
  refunc plot resnet_v1 -m loss --rank all
  refunc plot k3f9 -m loss --json | jq '.[0].values[-1]'"""


@click.command(short_help="Draw curves in the terminal.", epilog=_EXAMPLES)
@choosing()
@metrics_option("A metric to draw; repeatable.", required=True)
@rank_option("The curve of this rank; all, one curve a rank; or mean, min or max of all ranks.")
@click.option("--log", is_flag=True, help="A logarithmic y axis.")
@click.option("--height", type=Number(5, 200), metavar="LINES", help="The height of each chart.")
@click.option("--max-points", type=Number(FEWEST), metavar="N", help="With --json: at most N points of each curve.")
@json_option("Print all points as JSON instead.")
@store_option
@click.pass_context
def plot(
    ctx: click.Context,
    choice: Choice,
    metrics: tuple[str, ...],
    rank: Ranks,
    log: bool,
    height: int | None,
    max_points: int | None,
    as_json: bool,
    store: str | None,
) -> None:
    """
    Draw curves of metrics in the terminal: one chart per metric, one colour per run.

    RUN is an id, a name or a folder; without RUN and options, it is the newest run. The x axis is the step, or the
    metric that `define_metric` selects; runs with different axes get separate charts. If a curve has more points than
    fit a chart, its extremes are drawn. NaN and infinities are counted below the chart.
    Of a run of several ranks, the curve is that of rank 0, or of the lowest rank that logged the metric. With --rank
    all, the first 64 ranks that did have a curve each.
    `refunc report` writes a page of curves that opens in a browser.
    """
    found = chosen(ctx, store, choice, newest=1).runs
    refuse_missing(found, rank)
    most = max_points if as_json else None
    curves = [curve for metric in dict.fromkeys(metrics) for curve in _curves(found, metric, rank, most)]
    if as_json:
        print_json([_fields(curve) for curve in curves])
        return
    charts: dict[tuple[str, str], list[_Curve]] = {}
    for curve in curves:
        charts.setdefault((curve.series.name, curve.series.x_name), []).append(curve)
    width = window_width()
    lines = height or (
        _LINES if width is None else max(8, min(30, shutil.get_terminal_size().lines // len(charts) - 3))
    )
    print_lines(_charts(charts, width or _COLUMNS, lines, log=log))


@attrs.frozen
class _Curve:
    """One curve; *rank* is None if the command line chose none."""

    run: Run
    series: Series
    rank: Ranks = None


def _curves(runs: list[Run], metric: str, rank: Ranks, max_points: int | None) -> list[_Curve]:
    """Return the curves of the runs that have the metric; at least one run must have it."""
    curves, missing = [], None
    for run in runs:
        try:
            found: list[tuple[Ranks, Series]] = (
                [*_of_ranks(run, metric)] if rank == "all" else [(rank, run.metrics(metric, rank=rank))]
            )
        except UnknownMetricError as error:
            missing = missing or error
            continue
        for of, series in found:
            series = series.numbered()
            curves.append(_Curve(run, series if max_points is None else series.downsample(max_points), of))
    if not curves and missing is not None:
        raise missing
    return curves


def _of_ranks(run: Run, metric: str) -> list[tuple[Ranks, Series]]:
    """Return the curves of the first ranks that logged the metric. Raises UnknownMetricError."""
    having = {int(rank) for rank in run.metrics(metric, rank="all").ranks if rank is not None}
    return [(rank, run.metrics(metric, rank=rank)) for rank in sorted(having)[:_MOST_RANKS]]


def _charts(charts: dict[tuple[str, str], list[_Curve]], width: int, height: int, *, log: bool) -> Iterator[Text]:
    """Yield a chart for each metric and axis, each with a legend below it."""
    for at, ((metric, axis), curves) in enumerate(charts.items()):
        if at:
            yield Text("")
        yield Text(shown(metric) + (" (log)" if log else ""), "bold")
        thin = [curve.series.downsample(max(100, width * _DENSITY)) for curve in curves]
        yield from chart([_drawn(series) for series in thin], width, height, shown(axis), log=log)
        for place, curve in enumerate(curves):
            yield _legend(curve, COLORS[place % len(COLORS)], log=log)


def _drawn(series: Series) -> Curve:
    """Return the curve to draw; points without an x are left out if others have one."""
    return Curve([math.nan if value is None else value for value in series.x], series.values)


def _legend(curve: _Curve, color: str, *, log: bool) -> Text:
    run, series = curve.run, curve.series
    text = Text.assemble("  ", ("━━ ", color), shown(run.run_name), (f" {shown(run.run_id)}", "dim"))
    if curve.rank is not None:
        text.append(f"  {of_rank(curve.rank)}")
    text.append(f"  {len(series):,} point{'s' * (len(series) != 1)}, last {number(series.last)}")
    odd = sum(not math.isfinite(value) for value in series.values)
    low = sum(value <= 0 and math.isfinite(value) for value in series.values) if log else 0
    for count, what in ((odd, "not finite"), (low, "not above 0")):
        if count:
            text.append(f", {count:,} {what}", "red")
    return text


def _fields(curve: _Curve) -> dict[str, Any]:
    run, series = curve.run, curve.series
    columns = {"steps": series.steps, "values": series.values, "times": series.times, "x": series.x}
    return {
        "run_id": run.run_id,
        "run_name": run.run_name,
        "metric": series.name,
        "x_name": series.x_name,
        **({"rank": curve.rank} if curve.rank is not None else {}),
        **{name: list(column) for name, column in columns.items()},
    }
