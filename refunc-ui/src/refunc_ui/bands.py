"""The curves of groups of runs, each with a band."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from refunc.runs.bands import band_of
from refunc.runs.curve import FEWEST, Curve
from refunc.runs.groups import Key, by_values
from refunc.runs.search import values_of
from refunc_ui.asked import column_named
from refunc_ui.held import Held
from refunc_ui.made_curves import ALL_POINTS, Made
from refunc_ui.parts import parts_of
from refunc_ui.wanted_curves import Wanted


def grouped(held: Held, wanted: Wanted) -> bytes:
    """Return a curve with a band for each group of runs; see `refunc.runs.bands`."""
    made = Made(wanted)
    groups = _groups(held, wanted)
    points = max(FEWEST, min(wanted.points, ALL_POINTS // max(1, len(groups))))
    for key, names in groups:
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
    made: Made, key: Key, names: list[str], x_name: str, curves: list[Curve], points: int, count: int
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
        "key": [value if isinstance(value, (str, int, float, type(None))) else repr(value) for value in key],
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


def _groups(held: Held, wanted: Wanted) -> list[tuple[Key, list[str]]]:
    """Return the names of runs by the values that they are grouped by. Raises AskedWronglyError."""
    runs = {run.folder: (name, run) for name in wanted.runs for run in [held.run(name)]}
    columns = [column_named(word) for word in wanted.groups]
    found = values_of([run for _, run in runs.values()], frozenset(column.path for column in columns))
    return by_values((runs[run.folder][0], [values[column.path] for column in columns]) for run, values in found.runs)
