"""`refunc plot`: curves of metrics in the terminal."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from typing import Any

import click
from rich.text import Text

from refunc.runs.errors import UnknownMetricError
from refunc.runs.run import Run
from refunc.runs.series import FEWEST, Series
from refunc_commands.cli.chart import COLORS, Curve, chart
from refunc_commands.cli.failure import Number
from refunc_commands.cli.finding import json_option, metrics_option, run_argument, store_option, the_run
from refunc_commands.cli.screen import number, print_json, print_lines, shown, window_width

#: Columns and lines of a chart if stdout is not a terminal.
_COLUMNS, _LINES = 100, 20
#: Points of a curve for each column that it is drawn in: more than a column has dots.
_DENSITY = 16

_EXAMPLES = """\b
Examples:
  refunc plot resnet_v1 -m loss
  refunc plot resnet_v1 resnet_v2 -m val/loss --log
  refunc plot k3f9 -m loss --json | jq '.[0].values[-1]'"""


@click.command(short_help="Draw curves in the terminal.", epilog=_EXAMPLES)
@run_argument(nargs=-1, required=True)
@metrics_option("A metric to draw; repeatable.", required=True)
@click.option("--log", is_flag=True, help="A logarithmic y axis.")
@click.option("--height", type=Number(5, 200), metavar="LINES", help="The height of each chart.")
@click.option("--max-points", type=Number(FEWEST), metavar="N", help="With --json: at most N points of each curve.")
@json_option("Print all points as JSON instead.")
@store_option
@click.pass_context
def plot(
    ctx: click.Context,
    runs: tuple[str, ...],
    metrics: tuple[str, ...],
    log: bool,
    height: int | None,
    max_points: int | None,
    as_json: bool,
    store: str | None,
) -> None:
    """
    Draw curves of metrics in the terminal: one chart per metric, one colour per run.

    RUN is an id, a name or a folder. The x axis is the step, or the metric that `define_metric` selects; runs with
    different axes get separate charts. If a curve has more points than fit a chart, its extremes are drawn. NaN and
    infinities are counted below the chart.
    `refunc report` writes a page of curves that opens in a browser.
    """
    found = list({run.folder: run for run in (the_run(ctx, store, name) for name in runs)}.values())
    most = max_points if as_json else None
    curves = [pair for metric in dict.fromkeys(metrics) for pair in _curves(found, metric, most)]
    if as_json:
        print_json([_fields(run, series) for run, series in curves])
        return
    charts: dict[tuple[str, str], list[tuple[Run, Series]]] = {}
    for run, series in curves:
        charts.setdefault((series.name, series.x_name), []).append((run, series))
    width = window_width()
    lines = height or (
        _LINES if width is None else max(8, min(30, shutil.get_terminal_size().lines // len(charts) - 3))
    )
    print_lines(_charts(charts, width or _COLUMNS, lines, log=log))


def _curves(runs: list[Run], metric: str, max_points: int | None) -> list[tuple[Run, Series]]:
    """Return the series of the runs that have the metric; at least one run must have it."""
    pairs, missing = [], None
    for run in runs:
        try:
            series = run.metrics(metric).numbered()
        except UnknownMetricError as error:
            missing = missing or error
        else:
            pairs.append((run, series if max_points is None else series.downsample(max_points)))
    if not pairs and missing is not None:
        raise missing
    return pairs


def _charts(
    charts: dict[tuple[str, str], list[tuple[Run, Series]]], width: int, height: int, *, log: bool
) -> Iterator[Text]:
    """Yield a chart for each metric and axis, each with a legend below it."""
    for at, ((metric, axis), pairs) in enumerate(charts.items()):
        if at:
            yield Text("")
        yield Text(shown(metric) + (" (log)" if log else ""), "bold")
        thin = [series.downsample(max(100, width * _DENSITY)) for _, series in pairs]
        yield from chart([_curve(series) for series in thin], width, height, shown(axis), log=log)
        for place, (run, series) in enumerate(pairs):
            yield _legend(run, series, COLORS[place % len(COLORS)], log=log)


def _curve(series: Series) -> Curve:
    """Return the curve to draw; points without an x are left out if others have one."""
    return Curve([math.nan if value is None else value for value in series.x], series.values)


def _legend(run: Run, series: Series, color: str, *, log: bool) -> Text:
    text = Text.assemble("  ", ("━━ ", color), shown(run.run_name), (f" {shown(run.run_id)}", "dim"))
    text.append(f"  {len(series):,} point{'s' * (len(series) != 1)}, last {number(series.last)}")
    odd = sum(not math.isfinite(value) for value in series.values)
    low = sum(value <= 0 and math.isfinite(value) for value in series.values) if log else 0
    for count, what in ((odd, "not finite"), (low, "not above 0")):
        if count:
            text.append(f", {count:,} {what}", "red")
    return text


def _fields(run: Run, series: Series) -> dict[str, Any]:
    columns = {"steps": series.steps, "values": series.values, "times": series.times, "x": series.x}
    return {
        "run_id": run.run_id,
        "run_name": run.run_name,
        "metric": series.name,
        "x_name": series.x_name,
        **{name: list(column) for name, column in columns.items()},
    }
