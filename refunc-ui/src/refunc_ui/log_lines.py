"""Pages of a run's log lines."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final

from refunc.runs.column import axis_value
from refunc.runs.curve import Curve
from refunc.runs.entry import LogEntry
from refunc.runs.lines import LineFilter, LinePage, RunLines
from refunc.runs.run import Run
from refunc.values.levels import level_number
from refunc_ui.answers import AskedWronglyError
from refunc_ui.asked import Asked
from refunc_ui.held import Held
from refunc_ui.kept_curves import Part
from refunc_ui.one_run import named

_MOST: Final = 1_000
_LIMIT: Final = 200
#: The most characters of a message, and of a traceback.
_MESSAGE: Final = 20_000
_MOST_NUMBER: Final = 10**12


def lines(held: Held, asked: Asked) -> dict[str, Any]:
    """Return the lines that *asked* is for, oldest first. Raises AskedWronglyError."""
    wanted = _filter(asked)
    limit = asked.whole("limit", _LIMIT, 1, _MOST)
    with held.opened(named(asked)) as run, held.lines(run) as known:
        page = _page(run, held, known, asked, limit, wanted)
        total = len(known)
        steps = _steps(run, held) if any(line.entry.step is None for line in page.lines) else None
    return {
        "lines": [_line(line.number, line.entry, steps) for line in page.lines],
        "before": _cursor(page.before),
        "after": _cursor(page.after),
        "searched_to": _cursor(page.searched_to),
        "total": total,
    }


def _filter(asked: Asked) -> LineFilter:
    level = asked.text("level")
    rank = asked.text("rank")
    try:
        number = level_number(int(level) if level.isdecimal() else level) if level is not None else 0
    except ValueError as error:
        raise AskedWronglyError(str(error)) from error
    return LineFilter(
        level=number,
        rank=asked.whole("rank", 0, 0, 9_999_999) if rank is not None else None,
        text=(asked.text("search") or "")[:1_000],
    )


def _page(run: Run, held: Held, known: RunLines, asked: Asked, limit: int, wanted: LineFilter) -> LinePage:
    if asked.text("after") is not None:
        return known.after(asked.whole("after", 0, 0, _MOST_NUMBER), limit, wanted)
    if asked.text("before") is not None:
        return known.before(asked.whole("before", 0, 0, _MOST_NUMBER), limit, wanted)
    step, moment = asked.number("around_step"), asked.number("around_time")
    if step is not None:
        number = known.at_step(step)
        moment = None if number is not None else _time_of(run, held, step)
        if number is not None:
            return known.around(number, limit, wanted)
    if moment is not None:
        return known.around(known.at_time(moment), limit, wanted)
    return known.newest(limit, wanted)


def _time_of(run: Run, held: Held, step: float) -> float | None:
    """Return when the run came to *step*, by the points of a metric; None if it has none with steps."""
    steps = _steps(run, held)
    if steps is None:
        return None
    # A step is logged again where an epoch begins, or an attempt: the first time counts.
    at = next((at for at, each in enumerate(steps.y) if each >= step), len(steps) - 1)
    return float(steps.x[at])


def _step_at(steps: Curve | None, moment: float) -> int | float | None:
    """Return the step that the run had come to at *moment*."""
    at = bisect_right(steps.x, moment) - 1 if steps is not None else -1
    return axis_value(steps.y[at]) if steps is not None and at >= 0 else None


def _steps(run: Run, held: Held) -> Curve | None:
    """Return the steps of the metric with the most points, over time; None if it has none."""
    content = run.content()
    metrics = content.summary.metrics
    longest = max(metrics, key=lambda name: metrics[name].count, default=None)
    if longest is None or not metrics[longest].count:
        return None

    def made() -> list[Part]:
        series = run.series_of([longest])[longest]
        if not isinstance(series.steps, memoryview):
            return []
        curve = Curve("time", series.times, series.steps, has_odd=False)
        return [Part(None, None, curve, len(series), None, "")]

    parts = held.curves.get((run.folder, "steps"), content.signature, made)
    return parts[0].curve if parts else None


def _line(number: int, entry: LogEntry, steps: Curve | None) -> dict[str, Any]:
    trace = entry.extra.get("exception") or entry.extra.get("stack")
    return {
        "cursor": str(number),
        "time": entry.timestamp,
        "level": entry.level,
        "logger": entry.logger_name,
        "message": entry.message[:_MESSAGE],
        "trace": str(trace)[-_MESSAGE:] if trace else None,
        "step": entry.step,
        "at_step": entry.step if entry.step is not None else _step_at(steps, entry.timestamp),
        "epoch": entry.epoch,
        "rank": entry.rank,
        "attempt": entry.attempt,
    }


def _cursor(number: int | None) -> str | None:
    return str(number) if number is not None else None
