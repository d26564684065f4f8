"""`refunc plot`: curves of metrics in the terminal, or as a picture."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import click
from rich.text import Text

from refunc.runs.errors import RunError
from refunc.runs.groups import Runs
from refunc.runs.prefetch import read_ahead
from refunc.runs.run import Run
from refunc.runs.selection import Ranks
from refunc.runs.series import FEWEST
from refunc.values.quantities import counted
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import readable
from refunc_commands.cli.completions import complete_names
from refunc_commands.cli.failure import Failure, Number
from refunc_commands.cli.finding import metrics_option, rank_option, refuse_missing
from refunc_commands.cli.grouping import band_options
from refunc_commands.cli.losses import tell_losses
from refunc_commands.cli.options import json_option, output_option, store_option
from refunc_commands.cli.screen import number, of_rank, print_json, print_lines, table, window_width
from refunc_commands.cli.streams import shown
from refunc_commands.plotting.charts import (
    Chart,
    Line,
    banded,
    charts,
    curves,
    scattered,
    table_of,
    without_single_values,
)
from refunc_commands.plotting.patterns import known_metrics, metrics_named, values_named
from refunc_commands.plotting.terminal import COLORS, Curve, chart

#: Columns and lines of a chart if stdout is not a terminal.
_COLUMNS, _LINES = 100, 20
#: Points of a curve for each column that it is drawn in: more than a column has dots.
_DENSITY = 16
#: The most points of a band, and of a curve in a picture.
_MOST_POINTS = 2_000

_EXAMPLES = """\b
Examples:
  refunc plot resnet_v1 -m loss
  refunc plot resnet_v1 resnet_v2 -m val/loss --log
  refunc plot resnet_v1 -m "*/loss" --together -o loss.png
  refunc plot --experiment digits -m val/loss --group params.model
  refunc plot --since 2d -m val/acc --against params.lr --log-x
  refunc plot resnet_v1 -m loss --rank all
  refunc plot k3f9 -m loss --json | jq '.[0].values[-1]'"""


@attrs.frozen
class _Question:
    """The choice of runs, metrics and axes for a plot."""

    rank: Ranks
    groups: tuple[str, ...]
    against: str | None
    center: str
    spread: str
    most: int | None

    def lines(self, runs: Sequence[Run], metric: str) -> list[Line]:
        """Return the lines of one metric. Raises UnknownMetricError, ExpressionError, ValueError."""
        if self.against is not None:
            return [scattered(runs, metric, self.against)]
        if self.groups:
            choices = {"center": self.center, "spread": self.spread, "max_points": self.most or _MOST_POINTS}
            return banded(Runs(runs).group_by(*self.groups), metric, **choices)
        return curves(runs, metric, self.rank)


@click.command(epilog=_EXAMPLES)
@choosing()
@metrics_option("A metric to draw, or a pattern such as `*/loss`; repeatable.")
@click.option("--together", is_flag=True, help="Draw all metrics in one chart.")
@band_options
@click.option(
    "--against",
    metavar="NAME",
    shell_complete=complete_names,
    help="One point for each run, over a value such as `params.lr`.",
)
@rank_option("The curve of this rank; all, one curve a rank; or mean, min or max of all ranks.")
@click.option("--log", is_flag=True, help="A logarithmic y axis.")
@click.option("--log-x", is_flag=True, help="A logarithmic x axis.")
@click.option("--height", type=Number(5, 200), metavar="LINES", help="The height of each chart.")
@output_option("A picture to write instead: its name ends in .png, .svg or .pdf. Needs matplotlib.")
@click.option("--max-points", type=Number(FEWEST), metavar="N", help="With --json: at most N points of each curve.")
@json_option("Print all points as JSON instead.")
@store_option
@click.pass_context
def plot(
    ctx: click.Context,
    choice: Choice,
    metrics: tuple[str, ...],
    together: bool,
    groups: tuple[str, ...],
    center: str,
    spread: str,
    against: str | None,
    rank: Ranks,
    log: bool,
    log_x: bool,
    height: int | None,
    output: str | None,
    max_points: int | None,
    as_json: bool,
    store: str | None,
) -> None:
    """
    Draw curves of metrics in the terminal: one chart per metric, one colour per run.

    RUN is an id, a name or a folder; without RUN and options, it is the newest run, and with --group or --against
    all of them. The x axis is the step, the epoch
    for a metric that was logged by epoch alone, or the metric that `define_metric` selects; runs with different axes
    get separate charts. If a curve has more points than fit a chart, its extremes are drawn. NaN and infinities are
    counted below the chart. Metrics with one value in each run are a table.

    With --group, runs with the same value, such as the seeds of a model, are one curve with a band. Curves with other
    steps are read on the straight line between their points.

    Of a run of several ranks, the curve is that of rank 0, or of the lowest rank that logged the metric. With --rank
    all, the first 64 ranks that did have a curve each.
    `refunc report` writes a page of curves that opens in a browser.
    """
    found = readable(ctx, store, choice, newest=None if groups or against is not None else 1)
    refuse_missing(found, rank)
    if not metrics:
        raise Failure(f"-m says which metric is drawn. {known_metrics(found)}")
    question = _Question(rank, groups, against, center, spread, max_points if as_json else None)
    _refuse_both(question, output, as_json=as_json)
    try:
        named = metrics_named if against is None else values_named
        with read_ahead(found) as in_turn:
            tell_losses(in_turn)
            lines = [line for metric in named(metrics, found) for line in question.lines(found, metric)]
        if as_json:
            print_json([_fields(line, question) for line in lines])
            return
        drawn = charts(lines, together=together)
        if output is not None:
            _write(drawn, output, log=log, log_x=log_x)
            return
    except RunError:
        raise
    except ValueError as error:
        raise Failure(str(error)) from error
    print_lines(_all(drawn, height, log=log, log_x=log_x))


def _refuse_both(question: _Question, output: str | None, *, as_json: bool) -> None:
    """Refuse options that exclude each other. Raises Failure."""
    if question.groups and question.against is not None:
        raise Failure("--group draws bands and --against points: give one of them.")
    if question.rank is not None and (question.groups or question.against is not None):
        raise Failure("--rank chooses curves of single runs: leave it out with --group and --against.")
    if output is not None and as_json:
        raise Failure("-o writes a picture and --json prints points: give one of them.")


def _write(drawn: list[Chart], output: str, *, log: bool, log_x: bool) -> None:
    from refunc_commands.plotting.picture import draw

    several, single = without_single_values(drawn)
    draw([_thinned(each) for each in several], single, output, log=log, log_x=log_x)
    count = sum(len(each.lines) for each in several)
    said = [f"{counted(len(several), 'chart')}, {counted(count, 'line')}"] if several else []
    said += ["a table of single values"] if single else []
    print_lines([Text(f"{shown(os.path.realpath(output))}: {', '.join(said)}")])


def _thinned(drawn: Chart) -> Chart:
    """Return the chart with curves of a bounded number of points, which look the same."""
    return attrs.evolve(drawn, lines=[_thin(line, _MOST_POINTS) for line in drawn.lines])


def _thin(line: Line, most: int) -> Line:
    if line.series is None or len(line.series) <= most:
        return line
    series = line.series.downsample(most)
    return attrs.evolve(line, x=series.x, y=series.values)


def _all(drawn: list[Chart], height: int | None, *, log: bool, log_x: bool) -> Iterator[Text]:
    """Yield a chart for each metric and axis, each with a legend below it, and a table of single values."""
    several, single = without_single_values(drawn)
    width = window_width()
    lines = height or (
        _LINES if width is None else max(8, min(30, shutil.get_terminal_size().lines // max(1, len(several)) - 3))
    )
    for at, each in enumerate(several):
        if at:
            yield Text("")
        yield from _chart(each, width or _COLUMNS, lines, log=log, log_x=log_x)
    if single:
        if several:
            yield Text("")
        yield from _table(single, width)


def _chart(drawn: Chart, width: int, height: int, *, log: bool, log_x: bool) -> Iterator[Text]:
    yield Text(shown(drawn.title) + (" (log)" if log else ""), "bold")
    seen: list[Curve] = []
    for at, line in enumerate(drawn.lines):
        thin = _thin(line, max(100, width * _DENSITY))
        seen += [Curve(thin.drawn_x, edge, at) for edge in (thin.low, thin.high) if edge is not None]
        seen.append(Curve(thin.drawn_x, thin.y, at, thin.is_joined))
    yield from chart(seen, width, height, shown(drawn.x_name), log=log, log_x=log_x)
    for at, line in enumerate(drawn.lines):
        yield _legend(line, drawn, COLORS[at % len(COLORS)], log=log)


def _table(single: list[Chart], width: int | None) -> Iterator[Text]:
    """Yield a table of metrics that have one value in each run or group."""
    head, rows = table_of(single)
    cells = [
        [Text(shown(label)), *(Text("-" if value is None else number(value)) for value in values)]
        for label, *values in rows
    ]
    yield from table([Text(shown(name)) for name in head], cells, width)


def _legend(line: Line, drawn: Chart, color: str, *, log: bool) -> Text:
    text = Text.assemble("  ", ("━━ " if line.is_joined else "•  ", color), shown(line.label))
    if line.of is not None:
        text.append(f" {shown(line.of.run_id)}", "dim")
    if line.metric not in (drawn.title, line.label):
        text.append(f"  {shown(line.metric)}")
    if line.rank is not None:
        text.append(f"  {of_rank(line.rank)}")
    if line.note:
        text.append(f"  {shown(line.note)}")
    else:
        last = line.series.last if line.series is not None else None
        text.append(f"  {counted(len(line.y), 'point')}, last {number(last)}")
    odd = sum(not math.isfinite(value) for value in line.y)
    low = sum(value <= 0 and math.isfinite(value) for value in line.y) if log else 0
    for count, of_kind in ((odd, "not finite"), (low, "not above 0")):
        if count:
            text.append(f", {count:,} {of_kind}", "red")
    return text


def _fields(line: Line, question: _Question) -> dict[str, Any]:
    if line.band is not None:
        return {
            "group": dict(zip(question.groups, line.band.key, strict=True)),
            "metric": line.metric,
            "x_name": line.x_name,
            "center": question.center,
            "spread": question.spread,
            "x": list(line.band.x),
            "values": list(line.band.center),
            "low": list(line.band.low),
            "high": list(line.band.high),
            "n": list(line.band.n),
        }
    if line.of is None or line.series is None:
        return {"metric": line.metric, "x_name": line.x_name, "x": list(line.x), "values": list(line.y)}
    series = line.series if question.most is None else line.series.downsample(question.most)
    columns = {"steps": series.steps, "values": series.values, "times": series.times, "x": series.x}
    return {
        "run_id": line.of.run_id,
        "run_name": line.of.run_name,
        "metric": series.name,
        "x_name": series.x_name,
        **({"rank": line.rank} if line.rank is not None else {}),
        **{name: list(column) for name, column in columns.items()},
    }
