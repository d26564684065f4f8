"""Charts as a picture, by matplotlib where it is installed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from refunc.runs.entries_file import whole_file
from refunc.runs.packages import needed
from refunc.values.printable import printable_line
from refunc_commands.plotting.charts import Chart, Line, table_of

#: The kinds of files, by their endings.
ENDINGS: Final = (".png", ".svg", ".pdf")
#: Told apart with any kind of colour vision (Okabe and Ito); from the ninth line on, other dashes.
_COLORS: Final = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000", "#f0e442")
_DASHES: Final = ("-", "--", ":", "-.")
_WIDTH, _HEIGHT = 8.0, 4.2
#: The height of a row of a table.
_ROW = 0.3
#: Lines that a legend names.
_MOST_NAMED: Final = 20


def check_ending(path: str) -> str:
    """Return the ending of a picture's *path*; raise the ValueError that names those that are known."""
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path}: not the name of a picture. Allowed: a name that ends in {', '.join(ENDINGS)}.")
    return ending


def draw(
    charts: Sequence[Chart], single: Sequence[Chart], path: str, *, log: bool = False, log_x: bool = False
) -> None:
    """
    Draw *charts* below each other into the file *path*, which is replaced in one step, and a table of *single* values.

    Raises:
        PackageNeededError: matplotlib is not installed.
        ValueError: An ending that is not known.
        OSError: It cannot be written.
    """
    ending = check_ending(path)
    figures = needed("matplotlib.figure", "plot -o", "`refunc plot` draws in the terminal, and `refunc report` a page.")
    head, rows = table_of(single)
    heights = [*([_HEIGHT] * len(charts)), *([_ROW * (len(rows) + 1)] if single else [])]
    figure = figures.Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
    places = figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    for axes, chart in zip(places, charts, strict=False):
        _draw(axes, chart, log=log, log_x=log_x)
    if single:
        _draw_table(places[-1], head, rows)
    # Without the time: the same question gives the same file.
    metadata = {"Date": None} if ending == ".svg" else {"CreationDate": None} if ending == ".pdf" else None
    with whole_file(path, binary=True) as file:
        figure.savefig(file, format=ending[1:], dpi=150, metadata=metadata)


def _draw(axes: Any, chart: Chart, *, log: bool, log_x: bool) -> None:
    for at, line in enumerate(chart.lines):
        style = {"color": _COLORS[at % len(_COLORS)], "label": _label(line, chart) if at < _MOST_NAMED else "_"}
        if line.is_joined:
            dashes = _DASHES[at // len(_COLORS) % len(_DASHES)]
            x, y = line.drawn_x, _finite(line.y)
            lone = _lone(x, y)
            marks = {"marker": "o", "markersize": 3, "markevery": lone} if lone else {}
            axes.plot(x, y, linestyle=dashes, linewidth=1.4, **marks, **style)
        else:
            axes.scatter(line.drawn_x, _finite(line.y), s=18, **style)
        if line.low is not None and line.high is not None:
            axes.fill_between(line.drawn_x, line.low, line.high, color=style["color"], alpha=0.2, linewidth=0)
    axes.set_title(_text(chart.title), fontsize=11)
    axes.set_xlabel(_text(chart.x_name))
    axes.grid(alpha=0.25)
    if log:
        axes.set_yscale("log", nonpositive="mask")
    if log_x:
        axes.set_xscale("log", nonpositive="mask")
    if chart.lines[0].is_joined or len(chart.lines) > 1:
        more = len(chart.lines) - _MOST_NAMED
        axes.legend(fontsize=8, title=f"and {more} more" if more > 0 else None)


def _draw_table(axes: Any, head: list[str], rows: list[list[float | str | None]]) -> None:
    axes.axis("off")
    cells = [
        [_text(value) if isinstance(value, str) else "-" if value is None else f"{value:.6g}" for value in row]
        for row in rows
    ]
    table = axes.table(cells, colLabels=[_text(name) for name in head], loc="upper center", cellLoc="right")
    table.auto_set_font_size(False)
    table.set_fontsize(8)


def _lone(x: Sequence[float], y: Sequence[float]) -> list[int]:
    """Return the points without a neighbour to draw a line to: they need a mark to be seen."""
    there = [math.isfinite(one) and math.isfinite(other) for one, other in zip(x, y, strict=True)]
    around = [False, *there, False]
    return [at for at, is_there in enumerate(there) if is_there and not (around[at] or around[at + 2])]


def _label(line: Line, chart: Chart) -> str:
    of_metric = f"{line.metric} " if line.metric != chart.title and line.label != line.metric else ""
    rank = f" rank {line.rank}" if isinstance(line.rank, int) else ""
    values = line.series.values if line.series is not None else line.y  # of a long curve, not all are drawn
    odd = sum(not math.isfinite(value) for value in values)
    notes = [*([line.note] if line.note else []), *([f"{odd:,} not finite"] if odd else [])]
    return _text(f"{of_metric}{line.label}{rank}" + (f" ({', '.join(notes)})" if notes else ""))


def _text(text: str) -> str:
    """Return *text* as matplotlib draws it letter by letter: a `$` would begin a formula, a `_` hides a label."""
    text = printable_line(text)[:200].replace("\\", "\\\\").replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def _finite(values: Sequence[float]) -> list[float]:
    """Return *values* with infinities as gaps."""
    return [value if math.isfinite(value) else math.nan for value in values]
