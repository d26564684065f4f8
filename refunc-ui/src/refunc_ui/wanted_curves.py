"""What a chart asks for: a metric, runs, an axis and a range, and how the curves are made."""

from __future__ import annotations

from typing import Any, Final

import attrs

from refunc.runs.curve import FEWEST
from refunc.runs.selection import Selection
from refunc_ui.answers import AskedWronglyError
from refunc_ui.asked import Asked

AXES: Final = ("own", "step", "epoch", "time", "relative")
_CENTERS: Final = ("mean", "median")
_SPREADS: Final = ("std", "quartiles", "minmax")
_RANK_WORDS: Final = ("all", "mean", "min", "max")
#: The most runs of one answer, and the most points of one curve.
MOST_RUNS: Final = 1_000
_MOST_POINTS: Final = 20_000


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
