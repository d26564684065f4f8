"""The goals of refunc, as one row each: its figure, the other's, the ratio, the goal, and whether it is met."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from rounds import Results


@dataclass(frozen=True)
class Goal:
    """
    That *case*'s *figure* be at most *at_most* times that of *other*, or, without another, at most *at_most* itself.

    Figures are minima of the rounds, p99.9 the median: its minimum would be the round in which nothing happened.
    """

    number: str
    what: str
    case: tuple[str, str]
    figure: str
    at_most: float
    other: tuple[str, str] | None = None
    other_figure: str | None = None
    scale: float = 1e6
    unit: str = "µs"


_METRICS, _REFUNC = "metrics", ("metrics", "refunc")
_JOURNAL = ("lines", "refunc journal")


def _times(number: str, what: str, figure: str, others: dict[str, float]) -> list[Goal]:
    return [Goal(number, what, _REFUNC, figure, most, (_METRICS, name)) for name, most in others.items()]


GOALS = [
    *_times(
        "1",
        "log_metrics of 2 values, p50",
        "p50",
        {"limit: queue": 1.5, "trackio": 1 / 15, "W&B offline": 1 / 100, "MLflow": 1 / 5_000},
    ),
    Goal("2", "… p99", _REFUNC, "p99", 5e-6),
    Goal("2", "… p99.9", _REFUNC, "p999", 20e-6),
    *(
        Goal("2", f"… at 10,000/s in a loop that works, {name}", ("loop", "refunc, 10,000/s"), figure, at_most)
        for name, figure, at_most in (("p99", "p99", 5e-6), ("p99.9", "p999", 20e-6))
    ),
    Goal("3", "durability process, p50", (_METRICS, "refunc `process`"), "p50", 1.7, (_METRICS, "limit: write")),
    Goal("3", "durability disk, p50", (_METRICS, "refunc `disk`"), "p50", 1.2, (_METRICS, "limit: disk")),
    Goal("3", "process: lost of 999", ("killed", "refunc `process`"), "lost", 0, scale=1, unit="records"),
    Goal("3", "disk: lost of 999", ("killed", "refunc `disk`"), "lost", 0, scale=1, unit="records"),
    *_times("4", "CPU of all threads a record", "cpu", {"limit: queue": 2.5, "trackio": 1 / 8, "tensorboardX": 1 / 50}),
    Goal("5", "info with four fields, journal, p50", _JOURNAL, "p50", 1e-6),
    Goal("5", "… CPU of all threads", _JOURNAL, "cpu", 0.5, ("lines", "structlog")),
    Goal("5", "… CPU of all threads", _JOURNAL, "cpu", 0.5, ("lines", "picologging file")),
    Goal("6", "info into the text file, p50", ("lines", "refunc text file"), "p50", 1, ("lines", "logging file")),
    Goal("6", "… CPU of all threads", ("lines", "refunc text file"), "cpu", 1, ("lines", "logging file")),
    Goal("7", "info to a coloured console, p50", ("lines", "refunc console"), "p50", 1, ("lines", "loguru console")),
    *(
        Goal(
            "8",
            f"debug below the level, {form}",
            ("disabled", f"refunc, {form}"),
            "call",
            1,
            ("disabled", f"logging, {form}"),
            scale=1e9,
            unit="ns",
        )
        for form in ("4 arguments", "4 in `extra`")
    ),
    *(
        Goal(
            "9",
            f"an iterator tracked{form}",
            ("progress", f"refunc track{form}"),
            "step",
            1.1,
            ("progress", f"rich track{form}"),
            scale=1e9,
            unit="ns",
        )
        for form in ("", ", generator")
    ),
    Goal(
        "10",
        "update(1)",
        ("progress", "refunc update(1)"),
        "step",
        1,
        ("progress", "tqdm update(1)"),
        scale=1e9,
        unit="ns",
    ),
    Goal(
        "10",
        "update(1, {2 metrics})",
        ("progress", "refunc update(1, {2 metrics})"),
        "step",
        1 / 5,
        ("progress", "tqdm update + set_postfix"),
        scale=1e9,
        unit="ns",
    ),
    Goal("11", "import refunc.logging", ("imports", "refunc.logging"), "import", 40e-3, scale=1e3, unit="ms"),
    Goal("12", "journal, a record of 2 metrics", _REFUNC, "bytes", 150, scale=1, unit="bytes"),
    Goal("13", "1,000/s with four integrations", ("training", "refunc"), "share", 0.005, scale=100, unit="% of a core"),
    Goal("13", "… a step, with over without", ("training", "refunc"), "loop", 1.02, scale=1, unit=""),
    Goal("14", "delivery of a record, 300,000/s", ("delivery", "from a journal"), "record", 1 / 300_000),
    Goal("14", "… CPU a record", ("delivery", "from a journal"), "cpu", 4e-6),
    Goal(
        "14",
        "age on delivery at 10,000/s, p99",
        ("delivery", "beside a training, 10,000/s"),
        "age99",
        0.2,
        scale=1e3,
        unit="ms",
    ),
]


def value(results: Results, case: tuple[str, str], figure: str) -> float | None:
    """Return a figure of a case over all rounds; None where it was not measured."""
    found = [figures[figure] for figures in results.get(case[0], {}).get(case[1], []) if figure in figures]
    if not found:
        return None
    return statistics.median(found) if figure == "p999" else min(found)


HEADINGS = ["", "", "refunc", "beside", "", "ratio", "goal", ""]


def rows(results: Results) -> list[list[str]]:
    """Return the table of all goals that *results* say something about."""
    found = []
    for goal in GOALS:
        ours = value(results, goal.case, goal.figure)
        if ours is None:
            continue
        row = [goal.number, goal.what, _figure(ours * goal.scale, goal.unit)]
        if goal.other is None:
            row += ["", "", "", f"≤ {goal.at_most * goal.scale:.3g} {goal.unit}"]
            met = ours <= goal.at_most
        else:
            theirs = value(results, goal.other, goal.other_figure or goal.figure)
            if theirs is None:
                continue
            ratio = ours / theirs if theirs > 0 else float("inf")
            row += [goal.other[1], _figure(theirs * goal.scale, goal.unit), _ratio(ratio), f"≤ {_ratio(goal.at_most)}"]
            met = ratio <= goal.at_most
        found.append([*row, "met" if met else "not met"])
    return found


def _figure(number: float, unit: str) -> str:
    return f"{number:,.{0 if abs(number) >= 100 or number == int(number) else 2 if abs(number) < 10 else 1}f} {unit}"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f} ×" if ratio >= 0.25 else f"1/{1 / ratio:,.{0 if ratio < 0.1 else 1}f}" if ratio > 0 else "0"
