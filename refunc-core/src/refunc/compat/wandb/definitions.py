"""`define_metric` in W&B's words, and which value of a metric the summary has."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Final

import attrs

from refunc.compat.wandb.problems import Error

#: The words of `summary=` that are statistics; `best` is that of the goal.
STATISTICS: Final = ("min", "max", "mean", "last", "first")
_PLAIN: Final = ("copy", "none", "best")
_GOALS: Final = {"min": "min", "minimize": "min", "max": "max", "maximize": "max"}


@attrs.frozen
class Metric:
    """The definition of a metric, or of all metrics that a pattern such as `val/*` matches."""

    name: str
    step_metric: str | None = None
    step_sync: bool | None = None
    hidden: bool | None = None
    summary: tuple[str, ...] = ()
    goal: str | None = None

    @property
    def shown(self) -> str | None:
        """The word for `ExperimentTracker.define_metric`, which has one."""
        words = [word for word in self.summary if word not in ("copy", "first")]
        return words[0] if words else None

    def matches(self, name: str) -> bool:
        """Whether the definition is that of the metric *name*."""
        return name == self.name or (self.name.endswith("*") and fnmatchcase(name, self.name))


def metric_of(
    name: str, step_metric: Any, step_sync: bool | None, hidden: bool | None, summary: str | None, goal: str | None
) -> Metric:
    """
    Return the definition that these arguments of `define_metric` give.

    Raises:
        Error: A word that W&B does not have either; a pattern with `*` elsewhere than at its end.
    """
    if not isinstance(name, str) or not name:
        raise Error("define_metric: the name is empty. Give the name of a metric, or a pattern such as 'val/*'.")
    if "*" in name[:-1]:
        raise Error(f"define_metric: the pattern {name!r} has a `*` elsewhere than at its end.")
    if goal is not None and goal not in _GOALS:
        raise Error(f"define_metric: goal={goal!r} is unknown. Allowed: minimize, maximize.")
    goal = _GOALS[goal] if goal is not None else None
    words = [word.strip() for word in summary.split(",") if word.strip()] if summary else []
    for word in words:
        if word not in (*STATISTICS, *_PLAIN):
            raise Error(f"define_metric: summary={word!r} is unknown. Allowed: {', '.join((*STATISTICS, *_PLAIN))}.")
    axis = step_metric.name if isinstance(step_metric, Metric) else step_metric
    known = tuple((goal or "last") if word == "best" else word for word in words)
    return Metric(name, axis, step_sync, hidden, known, goal)


class Definitions:
    """The definitions of a run; of several that match a metric, a later one overrides the members that it has."""

    def __init__(self) -> None:
        self._all: list[Metric] = []

    def add(self, metric: Metric) -> None:
        """Add a definition."""
        self._all.append(metric)

    def words_of(self, name: str) -> tuple[str, ...]:
        """Return the words for the summary of the metric *name*; none if its last value is all."""
        return next((metric.summary for metric in reversed(self._all) if metric.summary and metric.matches(name)), ())

    def __bool__(self) -> bool:
        return any(metric.summary for metric in self._all)
