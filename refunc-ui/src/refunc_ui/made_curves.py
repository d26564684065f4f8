"""The curves of an answer, as they are made one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from refunc.journal.kinds import RUNNING
from refunc.runs.curve import FEWEST, Window
from refunc.runs.run import Run
from refunc_ui.answers import framed
from refunc_ui.held import Held
from refunc_ui.kept_curves import Part
from refunc_ui.parts import begin_after, is_behind, part_of, parts_of
from refunc_ui.wanted_curves import Wanted

#: The most points of an answer.
ALL_POINTS: Final = 400_000
#: The most curves of one run: its ranks and attempts.
_MOST_PARTS: Final = 256


class Made:
    """The curves of an answer, as they are made."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.headers: list[dict[str, Any]] = []
        self.columns: list[Sequence[float]] = []
        self.problems: list[dict[str, str]] = []
        self.x_name: str | None = None
        self.again = False
        self._points = max(FEWEST, min(wanted.points, ALL_POINTS // max(1, len(wanted.runs))))

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
        part = part_of(series, run, wanted)
        begin = begin_after(series, wanted.after or "")
        if begin is None or len(series) - begin > self._points or not is_behind(part.curve, series, begin):
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
