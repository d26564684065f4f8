"""The best values that a process has written, of metrics whose goal is defined or implied by their name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from refunc.values.definitions import Definitions
from refunc.values.goals import MIN, goal_of, guessed_goal
from refunc.values.jsonable import number

#: Metrics whose best value is remembered; generated names must not fill memory.
_MOST: Final = 1_000


class Bests:
    """The best value of each metric that has a goal."""

    def __init__(self) -> None:
        self._defined: Definitions[str] = Definitions()
        self._goals: dict[str, str | None] = {}
        #: The best value and where it was, by name.
        self.found: dict[str, tuple[float, Any]] = {}

    def define(self, name: str, goal: str) -> bool:
        """Set the goal of the metric *name*, or of those that match it. False if there are too many."""
        is_used = self._defined.add(name, goal)
        self._goals = {}
        return is_used

    def copy_goals(self, other: Bests) -> None:
        """Take over the goals of *other*."""
        self._defined, self._goals = other._defined, {}

    def guess_of(self, name: str) -> str:
        """Return `lowest` or `highest` if the goal of a metric is known only from its name; otherwise ""."""
        if self._defined.of(name) is not None:
            return ""
        return "lowest" if guessed_goal(name) == MIN else "highest"

    def see_all(
        self, names: tuple[str, ...], column_of: Callable[[int], list[Any]], place_of: Callable[[int], Any]
    ) -> None:
        """Take many records into account: `see`, at a twentieth of its price for many."""
        for at, name in enumerate(names):
            goal = self._goal(name)
            if goal is None:
                continue
            column = column_of(at)
            choose = min if goal == "min" else max
            best = choose(column)
            if best != best:  # a NaN is less than nothing: only the first one can hide the others
                best = choose([value for value in column if value == value], default=None)
                if best is None:
                    continue
            before = self.found.get(name)
            if before is None or (best < before[0] if goal == "min" else best > before[0]):
                self.found[name] = (float(best), place_of(column.index(best)))

    def _goal(self, name: str) -> str | None:
        goal = self._goals.get(name, "")
        if goal == "":
            goal = self._goals[name] = goal_of(name, self._defined) if len(self._goals) < _MOST else None
        return goal

    def see(self, metrics: Mapping[str, Any], place: Any = None) -> list[str]:
        """
        Take *metrics* into account; return the names whose value is better than all before. A first value does not
        count.
        """
        better = []
        for name, value in metrics.items():
            goal = self._goal(name)
            if goal is None:
                continue
            plain = value if type(value) is float else number(value)
            if plain is None or plain != plain:
                continue
            before = self.found.get(name)
            if before is None or (plain < before[0] if goal == "min" else plain > before[0]):
                self.found[name] = (plain, place)
                if before is not None:
                    better.append(name)
        return better
