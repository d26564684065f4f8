"""Runs in groups, as tables: a metric over the runs of each group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from refunc.runs.groups import GroupedMetric, Groups, Runs
from refunc.runs.run import Run
from refunc.values.patterns import is_pattern
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.screen import number, plain, print_json, print_lines, table, window_width
from refunc_commands.cli.streams import shown
from refunc_commands.plotting.patterns import known_metrics, values_named

#: Columns that a narrow window leaves out first.
_DISPENSABLE = ("max", "min", "median", "runs")


def print_groups(runs: Sequence[Run], names: Sequence[str], metrics: Sequence[str], *, as_json: bool) -> None:
    """
    Print a table for each of *metrics*: a row for each group of equal values of *names*.

    Raises:
        Failure: No metric is given.
        ExpressionError, UnknownMetricError: No run has a name, or a metric.
    """
    if not metrics:
        raise Failure(f"--group needs a metric, -m NAME, to compare the groups by. {known_metrics(runs)}")
    groups = Runs(runs).group_by(*names)
    # Names are looked up without opening a run; patterns need the names that the runs have.
    named = [each for name in metrics for each in (values_named([name], runs) if is_pattern(name) else [name])]
    found = [groups.metric(name) for name in dict.fromkeys(named)]
    if as_json:
        print_json([{"metric": each.name, "title": each.title, "groups": each.to_rows()} for each in found])
        return
    print_lines(_tables(groups, found))


def _tables(groups: Groups, found: Sequence[GroupedMetric]) -> Iterator[Text]:
    width = window_width()
    for at, metric in enumerate(found):
        if at:
            yield Text("")
        head = [*groups.names, "runs", "n", f"{metric.title} mean", "±", "median", "min", "max"]
        rows = [_row(groups, each) for each in metric.to_rows()]
        dispensable = [head.index(name) for name in _DISPENSABLE]
        yield from table([Text(shown(name), "dim") for name in head], rows, width, dispensable)


def _row(groups: Groups, row: dict[str, Any]) -> list[Text]:
    key = [Text("-" if row[name] is None else plain(row[name])) for name in groups.names]
    counts = [Text(f"{row['runs']:,}"), Text(f"{row['n']:,}")]
    values = [Text(number(row[name])) for name in ("mean", "std", "median", "min", "max")]
    return [*key, *counts, *values]
