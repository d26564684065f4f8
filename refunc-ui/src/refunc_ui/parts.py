"""The curves of one run, of its ranks and attempts, and places in them, from which a client goes on."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from refunc.runs.curve import Curve
from refunc.runs.run import Run
from refunc.runs.series import Series
from refunc_ui.held import Held
from refunc_ui.kept_curves import Part
from refunc_ui.wanted_curves import Wanted


def parts_of(held: Held, run: Run, wanted: Wanted) -> Sequence[Part]:
    """Return the curves of a run that are asked for, which is one, or one for each rank and attempt."""

    def made() -> list[Part]:
        series = run.series_of([wanted.metric], selection=wanted.selection)[wanted.metric]
        if len(series.ranks) or len(series.attempts):
            return [part_of(each, run, wanted, rank, attempt) for rank, attempt, each in _parts(series)]
        return [part_of(series, run, wanted)]

    key = run.folder, wanted.metric, wanted.axis, wanted.selection
    return held.curves.get(key, run.content().signature, made)


def part_of(series: Series, run: Run, wanted: Wanted, rank: int | None = None, attempt: int | None = None) -> Part:
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


def begin_after(series: Series, after: str) -> int | None:
    """Return the number of the first point behind the place *after*; None if that is not a place in this series."""
    if after == "0":
        return 0
    number, _, rest = after.partition(".")
    if not (number.isascii() and number.isdecimal() and len(number) < 15 and 0 < int(number) <= len(series)):
        return None
    at = int(number) - 1
    return at + 1 if _point(series, at) == rest else None


def is_behind(curve: Curve, series: Series, begin: int) -> bool:
    """Whether the points from *begin* on, as they were logged, are the last ones of the curve, too."""
    if len(curve) != len(series):
        return False
    before = max(0, begin - 1)
    ends = [memoryview(column)[before:].tobytes() for column in (curve.y, series.values)]  # type: ignore[arg-type]
    return ends[0] == ends[1]
