"""Names: those that expressions and columns may use, and the metrics of chosen runs."""

from __future__ import annotations

from typing import Any, Final

from refunc.runs.search import names_in
from refunc.runs.statistics import STATISTICS
from refunc.runs.summary import MetricSummary
from refunc.values.patterns import Patterns
from refunc_ui.asked import Asked
from refunc_ui.held import Held

_MOST_NAMES: Final = 5_000
_LOOKED_UP: Final = 20
_MOST_METRICS: Final = 2_000
_MOST_RUNS: Final = 1_000
#: The most runs of which a metric's best value is listed.
_MOST_BEST: Final = 50


def names(held: Held) -> dict[str, Any]:
    """Return the names of params, tags, metrics, results and experiments that any run has, and those of statistics."""
    entries = held.entries().runs
    runs = [entry.run for entry in entries]
    # Of a store that is new to the index, some of the newest are read at once.
    held.values(entries[-_LOOKED_UP:], frozenset([("tags",)]))
    found = {space: sorted(names_in(runs, space)) for space in ("params", "tags", "metrics", "results")}
    found["experiments"] = sorted({run.experiment_name for run in runs})
    more = {space: len(each) - _MOST_NAMES for space, each in found.items() if len(each) > _MOST_NAMES}
    listed = {space: each[:_MOST_NAMES] for space, each in found.items()}
    return {**listed, "statistics": list(STATISTICS), "more": more}


def metrics(held: Held, asked: Asked) -> dict[str, Any]:
    """Return the metrics of the runs that *asked* names, by name."""
    pattern = asked.text("match")
    matches = Patterns([pattern]).last_match if pattern else None
    found: dict[str, list[tuple[str, MetricSummary]]] = {}
    problems = []
    for name in asked.texts("run", _MOST_RUNS):
        with held.opened(name) as run:
            try:
                known = run.summary.metrics
            except Exception as error:
                problems.append({"run": name, "error": str(error)})
                continue
        for metric, summary in known.items():
            if matches is None or matches(metric) is not None:
                found.setdefault(metric, []).append((name, summary))
    listed = sorted(found)[:_MOST_METRICS]
    return {
        "metrics": [_metric(name, found[name]) for name in listed],
        "more": len(found) - len(listed),
        "problems": problems,
    }


def _metric(name: str, runs: list[tuple[str, MetricSummary]]) -> dict[str, Any]:
    first = runs[0][1]
    best = [[run, each.best, each.best_step] for run, each in runs if each.best is not None]
    return {
        "name": name,
        "runs": len(runs),
        "points": sum(each.count for _, each in runs),
        "single": all(each.count <= 1 for _, each in runs),
        "goal": first.goal or first.guessed_goal,
        "guessed": first.goal is None and first.guessed_goal is not None,
        "x": list(dict.fromkeys([first.step_metric or "step", "step", "epoch", "time", "relative"])),
        "best": best[:_MOST_BEST],
    }
