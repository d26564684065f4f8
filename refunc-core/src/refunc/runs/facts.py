"""The facts of a run for expressions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from refunc.runs.expression.asked import CHOSEN, SHOWN, SPACES, Path
from refunc.runs.expression.values import MISSING
from refunc.runs.failure import failure_of
from refunc.runs.flat import flat
from refunc.runs.origin import origin_of
from refunc.runs.run import Run
from refunc.runs.statistics import STATISTICS

if TYPE_CHECKING:
    from refunc.runs.summary import MetricSummary, Summary


def facts_of(run: Run, paths: Iterable[Path], summary: Summary | None = None) -> dict[Path, Any]:
    """
    Return the values of *run* at *paths*; at `("params",)` or `("tags",)` all of them.

    Args:
        summary: That of the run, if it was just read.
    """
    summary = run.summary if summary is None else summary
    single = {**run.facts(summary), **origin_of(run), **failure_of(run, summary)}
    nested = {"params": summary.params, "results": summary.results, "tags": summary.tags}
    found: dict[Path, Any] = {}
    for path in paths:
        space, *names = path
        if space in (SHOWN, CHOSEN):
            metric = summary.metrics.get(".".join(names))
            part = metric and (metric.shown if space == SHOWN else metric.summary)
            found[path] = MISSING if part is None else part
        elif space not in SPACES:
            value = single.get(space)
            found[path] = MISSING if value is None else value
        elif not names:
            found[path] = nested[space]
        elif space == "tags":
            found[path] = summary.tags.get(".".join(names), MISSING)
        else:
            found[path] = _metric(summary.metrics, names) if space == "metrics" else _nested(nested[space], names)
    return found


def names_of(summary: Summary) -> dict[str, list[str]]:
    """Return the names in each of the expression's spaces."""
    return {
        "params": [name for name, _ in flat(summary.params)],
        "metrics": list(summary.metrics),
        "tags": list(summary.tags),
        "results": [name for name, _ in flat(summary.results)],
    }


def _nested(values: Mapping[str, Any], names: list[str]) -> Any:
    """Return the value at the nested *names*; else the one with the joined name."""
    found: Any = values
    for name in names:
        if not isinstance(found, Mapping) or name not in found:
            return dict(flat(values)).get(".".join(names), MISSING)
        found = found[name]
    return found


def _metric(metrics: Mapping[str, MetricSummary], names: list[str]) -> Any:
    """
    Return the value of `metrics.NAME.min` or `metrics.NAME`; a metric's name may have dots itself.

    A metric named `loss.min` does not hide the statistic of `loss`: `metrics['loss.min']` and `.last` of it mean the
    metric.
    """
    found: Any = None
    if names[-1] in STATISTICS and (name := ".".join(names[:-1])) in metrics:
        found = getattr(metrics[name], names[-1])
    elif (whole := ".".join(names)) in metrics:
        found = metrics[whole].last
    return MISSING if found is None else found
