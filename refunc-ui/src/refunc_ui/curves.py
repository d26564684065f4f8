"""Curves: the points of one metric in several runs, thinned out for the range that a chart shows, as columns."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

import attrs

from refunc.journal.kinds import RUNNING
from refunc.runs.curve import Curve
from refunc.runs.run import Run
from refunc.runs.selection import Selection
from refunc_ui.answers import AskedWronglyError, framed
from refunc_ui.asked import Asked
from refunc_ui.held import Held

AXES: Final = ("own", "step", "epoch", "time", "relative")
_CENTERS: Final = ("mean", "median")
_SPREADS: Final = ("std", "quartiles", "minmax")
_RANK_WORDS: Final = ("all", "mean", "min", "max")
#: The most runs of one answer, the most points of one curve, and the most of all together.
MOST_RUNS: Final = 1_000
_MOST_POINTS: Final = 20_000
_ALL_POINTS: Final = 400_000


@attrs.frozen
class Wanted:
    """What a chart is asked for."""

    metric: str
    runs: list[str]
    axis: Any
    start: float | None
    end: float | None
    points: int
    selection: Selection
    smooth: float
    groups: tuple[str, ...]
    center: Any
    spread: Any
    after: str | None

    @classmethod
    def of(cls, asked: Asked) -> Wanted:
        """Return what a request asks for. Raises AskedWronglyError."""
        metric = asked.text("metric")
        if metric is None:
            raise AskedWronglyError("metric: name the metric whose curves are wanted.")
        smooth = asked.number("smooth") or 0.0
        if not 0 <= smooth < 1:
            raise AskedWronglyError(f"smooth: {smooth:g} is not allowed. Expected: from 0 to below 1.")
        return cls(
            metric=metric,
            runs=asked.texts("run", MOST_RUNS),
            axis=asked.word("x", AXES, "own"),
            start=asked.number("from"),
            end=asked.number("to"),
            points=asked.whole("points", 800, 8, _MOST_POINTS),
            selection=selection_of(asked),
            smooth=smooth,
            groups=tuple(asked.texts("group", 5)),
            center=asked.word("center", _CENTERS, "mean"),
            spread=asked.word("spread", _SPREADS, "std"),
            after=asked.text("after"),
        )


def selection_of(asked: Asked) -> Selection:
    """Return which ranks' and attempts' points are asked for. Raises AskedWronglyError."""
    rank = asked.text("rank")
    if rank is not None and rank not in _RANK_WORDS:
        number = asked.whole("rank", 0, 0, 9_999_999)
        return Selection(number, asked.word("attempts", ("newest", "all"), "newest"))
    return Selection(rank, asked.word("attempts", ("newest", "all"), "newest"))  # type: ignore[arg-type]


def curves(held: Held, wanted: Wanted) -> bytes:
    """Return the curves as a header and columns; see `answers.framed`."""
    headers: list[dict[str, Any]] = []
    columns: list[Sequence[float]] = []
    problems: list[dict[str, str]] = []
    x_names: dict[str, None] = {}
    points = max(8, min(wanted.points, _ALL_POINTS // max(1, len(wanted.runs))))
    for name in wanted.runs:
        with held.opened(name) as run:
            try:
                known = run.content().summary.metrics
                if wanted.metric not in known:
                    continue
                header, found = _of_run(name, run, wanted, points)
            except Exception as error:
                problems.append({"run": name, "error": str(error)})
                continue
        x_names[header.pop("x")] = None
        headers.append(header)
        columns += found
    head = {"metric": wanted.metric, "x": next(iter(x_names), wanted.axis), "curves": headers, "problems": problems}
    return framed(head, columns)


def _of_run(name: str, run: Run, wanted: Wanted, points: int) -> tuple[dict[str, Any], list[array[float]]]:
    series = run.series_of([wanted.metric], selection=wanted.selection)[wanted.metric]
    curve = Curve.of(series, wanted.axis, start_time=run.start_time)
    window = curve.window(wanted.start, wanted.end, points)
    columns = [window.x, window.y]
    titles = ["x", "y"]
    if wanted.smooth:
        columns.append(window.taken(curve.smoothed(wanted.smooth)))
        titles.append("smooth")
    nans, infinite, odd = window.odd()
    metric = run.content().summary.metrics[wanted.metric]
    low_high = window.low_high
    status = run.status
    return {
        "x": curve.x_name,
        "run": name,
        "key": None,
        "rank": None,
        "attempt": None,
        "n": len(window),
        "of": window.count,
        "all": len(series),
        "columns": titles,
        "count": len(window),
        "range": list(low_high) if low_high is not None else None,
        "last": series.last,
        "nan": nans,
        "inf": infinite,
        "odd": odd,
        "best": [metric.best_step, metric.best] if metric.best is not None else None,
        "is_running": status == RUNNING,
        "cursor": str(len(series)),
    }, columns
