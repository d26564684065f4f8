"""Curves: the points of one metric in several runs, thinned out for the range that a chart shows, as columns."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Sequence
from typing import Any, Final

import attrs

from refunc.journal.kinds import RUNNING
from refunc.journal.opening import NoDescriptorError
from refunc.runs.bands import band_of
from refunc.runs.curve import FEWEST, Curve, Window
from refunc.runs.expression.values import MISSING
from refunc.runs.run import Run
from refunc.runs.search import values_of
from refunc.runs.selection import Selection
from refunc.runs.series import Series
from refunc_ui.answers import AskedWronglyError, framed
from refunc_ui.asked import Asked, column_named
from refunc_ui.held import Held
from refunc_ui.kept_curves import Part

AXES: Final = ("own", "step", "epoch", "time", "relative")
_CENTERS: Final = ("mean", "median")
_SPREADS: Final = ("std", "quartiles", "minmax")
_RANK_WORDS: Final = ("all", "mean", "min", "max")
#: The most runs of one answer, the most points of one curve, and the most of all together.
MOST_RUNS: Final = 1_000
_MOST_POINTS: Final = 20_000
_ALL_POINTS: Final = 400_000
#: The most curves of one run: its ranks and attempts.
_MOST_PARTS: Final = 256


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
            points=asked.whole("points", 800, FEWEST, _MOST_POINTS),
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
    if wanted.groups:
        return grouped(held, wanted)
    made = _Made(wanted)
    for name in wanted.runs:
        with held.opened(name) as run:
            try:
                if wanted.metric in run.content().summary.metrics:
                    made.add_run(held, name, run)
            except NoDescriptorError:
                raise
            except Exception as error:  # one damaged run must not hide the others
                made.problems.append({"run": name, "error": str(error)})
    return made.framed()


class _Made:
    """The curves of an answer, as they are made."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.headers: list[dict[str, Any]] = []
        self.columns: list[Sequence[float]] = []
        self.problems: list[dict[str, str]] = []
        self.x_name: str | None = None
        self.again = False
        self._points = max(FEWEST, min(wanted.points, _ALL_POINTS // max(1, len(wanted.runs))))

    def framed(self) -> bytes:
        head: dict[str, Any] = {
            "metric": self.wanted.metric,
            "x": self.x_name or ("step" if self.wanted.axis == "own" else self.wanted.axis),
            "curves": self.headers,
            "problems": self.problems,
        }
        if self.wanted.after is not None:
            head["again"] = self.again
        return framed(head, self.columns)

    def add(self, x_name: str, header: dict[str, Any], columns: dict[str, Sequence[float]]) -> None:
        self.x_name = self.x_name or x_name
        count = len(next(iter(columns.values())))
        own = {} if x_name == self.x_name else {"x": x_name}
        self.headers.append({**header, **own, "columns": list(columns), "count": count})
        self.columns += columns.values()

    def add_run(self, held: Held, name: str, run: Run) -> None:
        """Add the curve of a run, or one for each of its ranks and attempts."""
        wanted = self.wanted
        content = run.content()
        metric = content.summary.metrics[wanted.metric]
        facts = {
            "run": name,
            "key": None,
            "best": [metric.best_step, metric.best] if metric.best is not None else None,
            "is_running": run.status == RUNNING,
        }
        if wanted.after is not None:
            self._add_new(run, facts)
            return
        parts = parts_of(held, run, wanted)
        points = max(FEWEST, self._points // max(1, len(parts)))
        for part in parts[:_MOST_PARTS]:
            window = part.curve.window(wanted.start, wanted.end, points)
            self._add_window(facts, part, window, is_only=len(parts) == 1)

    def _add_new(self, run: Run, facts: dict[str, Any]) -> None:
        """Add what is new of a run's curve; all of it where that cannot be added to what the client has."""
        wanted = self.wanted
        series = run.series_of([wanted.metric], selection=wanted.selection)[wanted.metric]
        part = _part(series, run, wanted)
        begin = _begin(series, wanted.after or "")
        if begin is None or len(series) - begin > self._points or not _is_behind(part.curve, series, begin):
            self.again = True
            window = part.curve.window(wanted.start, wanted.end, self._points)
        else:
            window = part.curve.tail(begin)
        self._add_window(facts, part, window, is_only=True)

    def _add_window(self, facts: dict[str, Any], part: Part, window: Window, *, is_only: bool) -> None:
        columns: dict[str, Sequence[float]] = {"x": window.x, "y": window.y}
        if self.wanted.smooth:
            columns["smooth"] = window.taken(part.smoothed(self.wanted.smooth))
        nans, infinite, odd = window.odd()
        low_high = window.low_high
        header = {
            **facts,
            "rank": part.rank,
            "attempt": part.attempt,
            "n": len(window),
            "of": window.count,
            "all": part.count,
            "range": list(low_high) if low_high is not None else None,
            "last": part.last,
            "nan": nans,
            "inf": infinite,
            "odd": odd,
            "cursor": part.cursor if is_only else None,
        }
        self.add(part.curve.x_name, header, columns)


def parts_of(held: Held, run: Run, wanted: Wanted) -> Sequence[Part]:
    """Return the curves of a run that are asked for, which is one, or one for each rank and attempt."""

    def made() -> list[Part]:
        series = run.series_of([wanted.metric], selection=wanted.selection)[wanted.metric]
        if len(series.ranks) or len(series.attempts):
            return [_part(each, run, wanted, rank, attempt) for rank, attempt, each in _parts(series)]
        return [_part(series, run, wanted)]

    key = run.folder, wanted.metric, wanted.axis, wanted.selection
    return held.curves.get(key, run.content().signature, made)


def _part(series: Series, run: Run, wanted: Wanted, rank: int | None = None, attempt: int | None = None) -> Part:
    curve = Curve.of(series, wanted.axis, start_time=run.start_time)
    return Part(rank, attempt, curve, len(series), series.last, _cursor(series))


def _parts(series: Series) -> list[tuple[int | None, int | None, Series]]:
    """Return the points of each rank and attempt that a series has marked."""
    ranks = series.ranks or [None] * len(series)
    attempts = series.attempts or [None] * len(series)
    places: dict[Any, list[int]] = {}
    for at, key in enumerate(zip(ranks, attempts, strict=True)):
        places.setdefault(key, []).append(at)
    return [(rank, attempt, series.take(places[rank, attempt])) for rank, attempt in sorted(places, key=str)]


def _cursor(series: Series) -> str:
    """Return the place behind the last point: its number, and what it is, so that another order is noticed."""
    if not len(series):
        return "0"
    return f"{len(series)}.{_point(series, len(series) - 1)}"


def _point(series: Series, at: int) -> str:
    return struct.pack("<dd", series.times[at], series.values[at]).hex()


def _begin(series: Series, after: str) -> int | None:
    """Return the number of the first point behind the place *after*; None if that is not a place in this series."""
    if after == "0":
        return 0
    number, _, rest = after.partition(".")
    if not (number.isascii() and number.isdecimal() and len(number) < 15 and 0 < int(number) <= len(series)):
        return None
    at = int(number) - 1
    return at + 1 if _point(series, at) == rest else None


def _is_behind(curve: Curve, series: Series, begin: int) -> bool:
    """Whether the points from *begin* on, as they were logged, are the last ones of the curve, too."""
    if len(curve) != len(series):
        return False
    before = max(0, begin - 1)
    ends = [memoryview(column)[before:].tobytes() for column in (curve.y, series.values)]  # type: ignore[arg-type]
    return ends[0] == ends[1]


def grouped(held: Held, wanted: Wanted) -> bytes:
    """Return a curve with a band for each group of runs; see `refunc.runs.bands`."""
    made = _Made(wanted)
    groups = _groups(held, wanted)
    points = max(FEWEST, min(wanted.points, _ALL_POINTS // max(1, len(groups))))
    for key, names in groups.items():
        curves: dict[str, list[Curve]] = {}
        count = 0
        for name in names:
            with held.opened(name) as run:
                try:
                    if wanted.metric not in run.content().summary.metrics:
                        continue
                    parts = parts_of(held, run, wanted)
                except Exception as error:
                    made.problems.append({"run": name, "error": str(error)})
                    continue
            for part in parts:
                curves.setdefault(part.curve.x_name, []).append(part.curve)
                count += part.count
        for x_name, found in curves.items():
            _add_band(made, key, names, x_name, found, points, count)
    return made.framed()


def _add_band(
    made: _Made, key: tuple[Any, ...], names: list[str], x_name: str, curves: list[Curve], points: int, count: int
) -> None:
    wanted = made.wanted
    band = band_of(
        key,
        wanted.metric,
        x_name,
        curves,
        center=wanted.center,
        spread=wanted.spread,
        max_points=points,
        start=-math.inf if wanted.start is None else wanted.start,
        end=math.inf if wanted.end is None else wanted.end,
    )
    columns: dict[str, Sequence[float]] = {
        "x": band.x,
        "center": band.center,
        "low": band.low,
        "high": band.high,
        "n": band.n,
    }
    if wanted.smooth:
        columns["smooth"] = Curve(x_name, array("d", band.x), band.center, has_odd=True).smoothed(wanted.smooth)
    ends = [value for column in (band.low, band.high) for value in column if math.isfinite(value)]
    header = {
        "run": None,
        "key": list(key),
        "runs": names,
        "rank": None,
        "attempt": None,
        "n": len(band),
        "of": count,
        "all": count,
        "range": [min(ends), max(ends)] if ends else None,
        "last": band.center[-1] if len(band) else None,
        "nan": 0,
        "inf": 0,
        "odd": [],
        "best": None,
        "is_running": False,
        "cursor": None,
    }
    made.add(x_name, header, columns)


def _groups(held: Held, wanted: Wanted) -> dict[tuple[Any, ...], list[str]]:
    """Return the names of runs by the values that they are grouped by. Raises AskedWronglyError."""
    runs = {run.folder: (name, run) for name in wanted.runs for run in [held.run(name)]}
    columns = [column_named(word) for word in wanted.groups]
    found = values_of([run for _, run in runs.values()], frozenset(column.path for column in columns))
    groups: dict[Any, tuple[tuple[Any, ...], list[str]]] = {}
    for run, values in found.runs:
        key = tuple(None if (value := values[column.path]) is MISSING else value for column in columns)
        groups.setdefault(repr(key), (key, []))[1].append(runs[run.folder][0])
    return dict(_hashable(key, names) for key, names in groups.values())


def _hashable(key: tuple[Any, ...], names: list[str]) -> tuple[tuple[Any, ...], list[str]]:
    return tuple(value if isinstance(value, (str, int, float, type(None))) else repr(value) for value in key), names
