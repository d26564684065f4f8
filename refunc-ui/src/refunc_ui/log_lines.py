"""Pages of a run's log lines."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

from refunc.runs.lines import LineFilter, Page, RunLines
from refunc.runs.run import Run
from refunc.values.levels import level_number
from refunc_ui.answers import AskedWronglyError
from refunc_ui.asked import Asked
from refunc_ui.held import Held
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
        page = _page(run, known, asked, limit, wanted)
        total = len(known)
    return {
        "lines": [_line(line.number, line.entry) for line in page.lines],
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


def _page(run: Run, known: RunLines, asked: Asked, limit: int, wanted: LineFilter) -> Page:
    if asked.text("after") is not None:
        return known.after(asked.whole("after", 0, 0, _MOST_NUMBER), limit, wanted)
    if asked.text("before") is not None:
        return known.before(asked.whole("before", 0, 0, _MOST_NUMBER), limit, wanted)
    step, moment = asked.number("around_step"), asked.number("around_time")
    if step is not None:
        number = known.at_step(step)
        moment = None if number is not None else _time_of(run, step)
        if number is not None:
            return known.around(number, limit, wanted)
    if moment is not None:
        return known.around(known.at_time(moment), limit, wanted)
    return known.newest(limit, wanted)


def _time_of(run: Run, step: float) -> float | None:
    """Return when the run came to *step*, by the points of a metric; None if it has none with steps."""
    metrics = run.summary.metrics
    longest = max(metrics, key=lambda name: metrics[name].count, default=None)
    if longest is None:
        return None
    series = run.series_of([longest])[longest]
    if not isinstance(series.steps, memoryview):
        return None
    at = min(bisect_left(series.steps, step), len(series) - 1)
    return series.times[at] if at >= 0 else None


def _line(number: int, entry: Any) -> dict[str, Any]:
    trace = entry.extra.get("exception") or entry.extra.get("stack")
    return {
        "cursor": str(number),
        "time": entry.timestamp,
        "level": entry.level,
        "logger": entry.logger_name,
        "message": entry.message[:_MESSAGE],
        "trace": str(trace)[-_MESSAGE:] if trace else None,
        "step": entry.step,
        "epoch": entry.epoch,
        "rank": entry.rank,
        "attempt": entry.attempt,
    }


def _cursor(number: int | None) -> str | None:
    return str(number) if number is not None else None
