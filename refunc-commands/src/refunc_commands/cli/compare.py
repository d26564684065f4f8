"""`refunc compare`: runs side by side, with differences and the best values marked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import click
from rich.cells import cell_len
from rich.text import Text

from refunc.journal.ranks import newest, rank_files
from refunc.runs.flat import flat
from refunc.runs.run import Run
from refunc.runs.summary import MetricSummary, Summary, chosen_part
from refunc.values.goals import MIN
from refunc.values.jsonable import spell_nonfinite
from refunc.values.quantities import narrow_duration
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import readable
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.finding import metrics_option
from refunc_commands.cli.grouping import group_option
from refunc_commands.cli.losses import tell_losses
from refunc_commands.cli.options import json_option, store_option
from refunc_commands.cli.screen import (
    BEST,
    BEST_NOTES,
    GUESSED_BEST,
    STATUS_STYLES,
    fitted,
    number,
    plain,
    print_json,
    print_lines,
    window_width,
)
from refunc_commands.cli.streams import shown

#: Follows a name whose values differ.
_DIFFERS: Final = "≠"
_NARROWEST: Final = 10
#: The members of `run.json` about the environment in which a run was made.
_CIRCUMSTANCES: Final = ("host", "script", "commit", "python", "refunc")
_WIDEST_NAME: Final = 32

_EXAMPLES = """\b
Examples:
  refunc compare resnet_v1 resnet_v2
  refunc compare k3f9 m2p7 x8q1 --diff
  refunc compare --sort=-metrics.accuracy.max -n 2
  refunc compare --group params.model -m "*/loss"
  refunc compare resnet_v1 resnet_v2 --json | jq .params"""


@click.command(epilog=_EXAMPLES)
@choosing()
@click.option(
    "--diff", "only_different", is_flag=True, help="Only the environment, params, tags and results that differ."
)
@group_option("Compare all runs in groups of the same value, such as params.model; repeatable.")
@metrics_option("With --group: only this metric, or a pattern such as `*/loss`; repeatable.")
@json_option()
@store_option
@click.pass_context
def compare(
    ctx: click.Context,
    choice: Choice,
    only_different: bool,
    groups: tuple[str, ...],
    metrics: tuple[str, ...],
    as_json: bool,
    store: str | None,
) -> None:
    """
    Show runs side by side: status, environment, params, tags, results, and a value of each metric.

    RUN is an id, a name or a folder; without RUN and options, the newest two runs are compared. ≠ marks names whose
    values differ. A metric is shown with its last value, or with the summary that `define_metric` selects, as acc.max.
    * marks the best of these values, or ~ if the goal was not given but guessed from the metric's name. Runs that do
    not fit the window follow below.

    With --group, each metric is a table of groups, like that of `refunc ls --group`. It is of all runs, unless some are
    chosen.
    """
    if metrics and not groups:
        raise Failure("-m is for the runs of a --group: of single runs, each metric is compared.")
    if groups and only_different:
        raise Failure("--diff is for single runs: leave it out with --group.")
    if groups:
        from refunc_commands.cli.grouped import print_groups

        print_groups(readable(ctx, store, choice), groups, metrics or ("*",), as_json=as_json)
        return
    found = readable(ctx, store, choice, newest=2)
    tell_losses(found)
    parts = _parts(found) if as_json else _told_once(_parts(found))
    if only_different:
        parts = {title: [row for row in rows if row.differs or title == "metrics"] for title, rows in parts.items()}
    if as_json:
        print_json(_fields(found, parts))
    else:
        print_lines(_blocks(found, parts, window_width()))


@attrs.frozen
class _Row:
    """One name with its value in each run, MISSING where a run does not have it, and the indexes of the best."""

    name: str
    values: list[Any]
    differs: bool
    best: frozenset[int] = frozenset()
    #: Follows the best values, and tells whether the goal was given or guessed.
    mark: str = BEST
    #: Follows the name of a metric that is not shown with its last value.
    part: str = ""


_MISSING: Final = object()


def _parts(runs: list[Run]) -> dict[str, list[_Row]]:
    summaries = [run.summary for run in runs]
    return {
        "environment": _rows([_environment(run) for run in runs]),
        "params": _rows([dict(flat(summary.params)) for summary in summaries]),
        "tags": _rows([dict(summary.tags) for summary in summaries]),
        "results": _rows([dict(flat(summary.results)) for summary in summaries]),
        "metrics": _metric_rows(summaries),
    }


def _told_once(parts: dict[str, list[_Row]]) -> dict[str, list[_Row]]:
    """Return *parts* with each result that is a metric of the same values as a result alone, with its best marked."""
    metrics = {row.name: row for row in parts["metrics"]}
    results = []
    for row in parts["results"]:
        metric = metrics.get(row.name)
        if metric is not None and list(map(_exactly, metric.values)) == list(map(_exactly, row.values)):
            row = attrs.evolve(row, best=metrics.pop(row.name).best, mark=metric.mark)
        results.append(row)
    return {**parts, "results": results, "metrics": list(metrics.values())}


def _environment(run: Run) -> dict[str, Any]:
    """Return the circumstances of *run* that its record of the start has."""
    facts = {name: run.birth.get(name) for name in _CIRCUMSTANCES}
    facts |= {name: version for name, version in run.packages.items() if name not in facts}
    facts["ranks"] = len(newest(rank_files(run.folder))) or None
    return {name: value for name, value in facts.items() if value is not None}


def _rows(values: list[dict[str, Any]]) -> list[_Row]:
    names = dict.fromkeys(name for each in values for name in each)
    return [_row(name, [each.get(name, _MISSING) for each in values]) for name in names]


def _row(name: str, values: list[Any], best: frozenset[int] = frozenset(), mark: str = BEST) -> _Row:
    return _Row(name, values, len(set(map(_exactly, values))) > 1, best, mark)


def _metric_rows(summaries: list[Summary]) -> list[_Row]:
    names = sorted({name for summary in summaries for name in summary.metrics})
    rows = [_metric_row_with_part(name, [summary.metrics.get(name) for summary in summaries]) for name in names]
    return [
        row for row in rows if any(value is not _MISSING for value in row.values)
    ]  # without metrics that are left out


def _metric_row_with_part(name: str, metrics: Sequence[MetricSummary | None]) -> _Row:
    part = chosen_part(metric.summary for metric in metrics if metric is not None)
    return attrs.evolve(_metric_row(name, metrics), part=part)


def _metric_row(name: str, metrics: Sequence[MetricSummary | None]) -> _Row:
    values: list[Any] = [_MISSING if metric is None or metric.shown is None else metric.shown for metric in metrics]
    known = [metric for metric in metrics if metric is not None]
    defined = {metric.goal for metric in known if metric.goal}
    goals = defined or {metric.guessed_goal for metric in known if metric.guessed_goal}
    if len(goals) != 1:  # no goal, or the runs disagree
        return _row(name, values)
    (goal,) = goals
    best = (min if goal == MIN else max)((value for value in values if _is_number(value)), default=None)
    winners = frozenset(at for at, value in enumerate(values) if best is not None and value == best)
    return _row(name, values, winners, BEST if defined else GUESSED_BEST)


def _is_number(value: Any) -> bool:
    return value is not _MISSING and value == value  # not NaN


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "-"
    return number(value, 5) if isinstance(value, float) else plain(value)


def _exactly(value: Any) -> str:
    """Return a text that only equal values share; 1.0 is written as 1."""
    if value is _MISSING:
        return "-"
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return shown(json.dumps(spell_nonfinite(whole), ensure_ascii=False, sort_keys=True))


def _written(values: list[Any]) -> list[str]:
    """Return the texts of *values*: short ones, unless short ones would hide a difference."""
    short, exact = list(map(_shown, values)), list(map(_exactly, values))
    return short if len(set(short)) == len(set(exact)) else exact


def _fields(runs: list[Run], parts: dict[str, list[_Row]]) -> dict[str, Any]:
    def listed(row: _Row) -> dict[str, Any]:
        values = [None if value is _MISSING else value for value in row.values]
        fields = {"values": values, "differs": row.differs}
        if row.best:
            fields["best"] = [runs[at].run_id for at in sorted(row.best)]
            fields |= {"best_is_guessed": True} if row.mark == GUESSED_BEST else {}
        return fields

    outcomes = [(run, *run.outcome(run.summary)) for run in runs]
    return {
        "runs": [
            {"run_id": run.run_id, "run_name": run.run_name, "status": status, "duration": duration}
            for run, status, duration in outcomes
        ],
        **{title: {row.name: listed(row) for row in rows} for title, rows in parts.items()},
    }


def _blocks(runs: list[Run], parts: dict[str, list[_Row]], width: int | None) -> Iterator[Text]:
    """Yield a table of as many runs as fit the window, and tables of the others below it."""
    names = [shown(row.name + row.part) for rows in parts.values() for row in rows]
    first = min(_WIDEST_NAME, max((cell_len(name) for name in names), default=8) + 2)
    first = max(first, len("metrics (last)"))
    room = len(runs) if width is None else max(1, (width - first) // (_NARROWEST + 2))
    for begin in range(0, len(runs), room):
        if begin:
            yield Text("")
        yield from _block(runs, parts, range(begin, min(begin + room, len(runs))), first, width)
    if any(row.best and row.mark == GUESSED_BEST for rows in parts.values() for row in rows):
        yield Text("")
        yield Text(f"{GUESSED_BEST} {BEST_NOTES[GUESSED_BEST]}", "dim")


def _block(
    runs: list[Run], parts: dict[str, list[_Row]], chosen: range, first: int, width: int | None
) -> Iterator[Text]:
    lines = [*_heads([runs[at] for at in chosen]), *_lines(parts, chosen, first)]
    widths = [max(cell_len(line.cells[at][0]) for line in lines if line.cells) for at in range(len(chosen))]
    if width is not None:
        most = (width - first - 2 * len(chosen)) // len(chosen)
        widths = [min(size, max(_NARROWEST, most)) for size in widths]
    for line in lines:
        text = Text.assemble((fitted(line.name, first), line.style))
        for (value, value_style), size in zip(line.cells, widths, strict=False):
            text.append("  ")
            text.append(fitted(value, size), value_style)
        yield text


@attrs.frozen
class _Line:
    """A line of a table: its name, and the text of each run with its style."""

    name: str
    style: str
    cells: list[tuple[str, str]]


def _heads(runs: list[Run]) -> Iterator[_Line]:
    """Yield the lines that identify the runs and give their status."""
    outcomes = [run.outcome(run.summary) for run in runs]
    yield _Line("", "", [(shown(run.run_name), "bold") for run in runs])
    yield _Line("id", "dim", [(shown(run.run_id), "dim") for run in runs])
    yield _Line("status", "dim", [(shown(status), STATUS_STYLES.get(status, "")) for status, _ in outcomes])
    yield _Line("took", "dim", [("-" if took is None else narrow_duration(took), "") for _, took in outcomes])


def _lines(parts: dict[str, list[_Row]], chosen: range, first: int) -> Iterator[_Line]:
    """Yield the rows of each part below its title."""
    for title, rows in parts.items():
        if rows:
            yield _Line("", "", [])
            yield _Line("metrics (last)" if title == "metrics" else title, "bold", [])
        for row in rows:
            yield _line(row, chosen, first, marks_difference=row.differs and title != "metrics")


def _line(row: _Row, chosen: range, first: int, *, marks_difference: bool) -> _Line:
    mark = f" {_DIFFERS}" if marks_difference else ""
    name = shown(row.name + row.part)
    name = fitted(name, min(cell_len(name), first - len(mark))) + mark
    texts, plain_style = _written(row.values), "yellow" if mark else ""
    cells = [(texts[at] + row.mark, "bold green") if at in row.best else (texts[at], plain_style) for at in chosen]
    return _Line(name, "" if mark else "dim", cells)
