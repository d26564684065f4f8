"""Which value of a metric is the best: what `define_metric` said, else what its name says by convention."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from refunc.journal.values import number

_LOWER = frozenset("loss error err mae mse rmse nll ppl perplexity wer cer fid divergence".split())
_HIGHER = frozenset("accuracy acc f1 auc auroc precision recall bleu rouge iou dice r2 reward score psnr ssim".split())

#: Metrics whose best value is remembered; names made up on the fly must not fill memory.
_MOST = 1_000


def goal_of(name: str, defined: Mapping[str, str]) -> str | None:
    """
    Return `min`, `max`, or None where nobody can know.

    Args:
        defined: Goals by name or pattern, in the order in which they were defined: the last one that matches counts.
    """
    for pattern in reversed(tuple(defined)):
        if name == pattern or fnmatchcase(name, pattern):
            return defined[pattern]
    words = re.split(r"[^a-z0-9]+", name.lower())
    if not _LOWER.isdisjoint(words):
        return "min"
    return "max" if not _HIGHER.isdisjoint(words) else None


class Bests:
    """The best value of each metric that has a goal."""

    def __init__(self) -> None:
        self._defined: dict[str, str] = {}
        self._goals: dict[str, str | None] = {}
        #: The best value and where it was, by name.
        self.found: dict[str, tuple[float, Any]] = {}

    def define(self, name: str, goal: str) -> None:
        """Say what the best value is of the metric *name*, or of those that match it."""
        self._defined = {**{known: self._defined[known] for known in self._defined if known != name}, name: goal}
        self._goals = {}

    def judge_as(self, other: Bests) -> None:
        """Take over what was said to *other* of goals."""
        self._defined, self._goals = other._defined, {}

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
        """Take *metrics* into account; return the names whose value is better than all before, the first one not."""
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
