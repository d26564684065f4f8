"""Checks of the arguments of `define_metric`."""

from __future__ import annotations

from typing import Any, Final

GOALS: Final = ("min", "max")
SUMMARIES: Final = ("last", "min", "max", "mean", "none")


def definition(name: str, goal: str | None, step_metric: str | None, summary: str | None) -> dict[str, Any]:
    """
    Return the fields of a `define` record.

    Raises:
        ValueError: A word that is not allowed.
        TypeError: A name that is not text.
    """
    for option, value in (("name", name), ("step_metric", step_metric)):
        if not isinstance(value, str) and (value is not None or option == "name"):
            raise TypeError(f"define_metric: {option} is {value!r}, which is not text.")
    for option, value, allowed in (("goal", goal, GOALS), ("summary", summary, SUMMARIES)):
        if value is not None and value not in allowed:
            raise ValueError(f"define_metric: {option}={value!r} is unknown. Allowed: {', '.join(allowed)}.")
    fields = {"name": name, "goal": goal, "step_metric": step_metric, "summary": summary}
    return {key: value for key, value in fields.items() if value is not None}
