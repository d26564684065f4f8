"""`refunc compare`: runs side by side, what differs between them marked, and the best values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import click
from rich.cells import cell_len
from rich.text import Text

from refunc.cli.finding import run_argument, store_option, the_run
from refunc.cli.screen import BEST, STATUS_STYLES, fitted, number, plain, print_json, print_lines, shown, window_width
from refunc.journal.values import spell_nonfinite
from refunc.logging.quantities import narrow_duration
from refunc.runs.run import Run
from refunc.runs.summary import MetricSummary, Summary
from refunc.runs.table import flat

#: Stands behind a name whose values differ.
_DIFFERS: Final = "≠"
_NARROWEST: Final = 10
_WIDEST_NAME: Final = 32

_EXAMPLES = """\b
Examples:
  refunc compare resnet_v1 resnet_v2
  refunc compare k3f9 m2p7 x8q1 --diff
  refunc compare resnet_v1 resnet_v2 --json | jq .params"""


@click.command(short_help="Show runs side by side.", epilog=_EXAMPLES)
@run_argument(nargs=-1, required=True)
@click.option("--diff", "only_different", is_flag=True, help="Only params, tags and results that differ.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@store_option
@click.pass_context
def compare(ctx: click.Context, runs: tuple[str, ...], only_different: bool, as_json: bool, store: str | None) -> None:
    """
    Show runs side by side: status, params, tags, results, and a value of each metric.

    RUN is an id, a name or a folder. A name with ≠ has different values. Of a metric it is the last value, or what
    `define_metric` named; where that gave a goal, the best of all runs is marked with *. Runs that do not fit the
    window follow below.
    """
    found = list({run.folder: run for run in (the_run(ctx, store, name) for name in runs)}.values())
    parts = _parts(found)
    if only_different:
        parts = {title: [row for row in rows if row.differs or title == "metrics"] for title, rows in parts.items()}
    if as_json:
        print_json(_fields(found, parts))
    else:
        print_lines(_blocks(found, parts, window_width()))


@attrs.frozen
class _Row:
    """One name with its value in each run, MISSING where a run has none; and which of them are the best."""

    name: str
    values: list[Any]
    differs: bool
    best: frozenset[int] = frozenset()


_MISSING: Final = object()


def _parts(runs: list[Run]) -> dict[str, list[_Row]]:
    summaries = [run.summary for run in runs]
    return {
        "params": _rows([dict(flat(summary.params)) for summary in summaries]),
        "tags": _rows([dict(summary.tags) for summary in summaries]),
        "results": _rows([dict(flat(summary.results)) for summary in summaries]),
        "metrics": _metric_rows(summaries),
    }


def _rows(values: list[dict[str, Any]]) -> list[_Row]:
    names = dict.fromkeys(name for each in values for name in each)
    return [_row(name, [each.get(name, _MISSING) for each in values]) for name in names]


def _row(name: str, values: list[Any], best: frozenset[int] = frozenset()) -> _Row:
    return _Row(name, values, len(set(map(_exactly, values))) > 1, best)


def _metric_rows(summaries: list[Summary]) -> list[_Row]:
    names = sorted({name for summary in summaries for name in summary.metrics})
    rows = [_metric_row(name, [summary.metrics.get(name) for summary in summaries]) for name in names]
    return [row for row in rows if any(value is not _MISSING for value in row.values)]  # not those to be left out


def _metric_row(name: str, metrics: Sequence[MetricSummary | None]) -> _Row:
    values = [_MISSING if metric is None or metric.shown is None else metric.shown for metric in metrics]
    goals = {metric.goal for metric in metrics if metric is not None and metric.goal}
    if len(goals) != 1:  # none, or runs that disagree about what is good
        return _row(name, values)
    scores = {
        at: metric.best if metric.goal else getattr(metric, next(iter(goals)))
        for at, metric in enumerate(metrics)
        if metric is not None and values[at] is not _MISSING
    }
    known = {at: score for at, score in scores.items() if score is not None}
    best = (min if goals == {"min"} else max)(known.values(), default=None)
    return _row(name, values, frozenset(at for at, score in known.items() if score == best))


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "-"
    return number(value, 5) if isinstance(value, float) else plain(value)


def _exactly(value: Any) -> str:
    """Return *value* so that no other one is written alike; 1.0 is 1."""
    if value is _MISSING:
        return "-"
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return shown(json.dumps(spell_nonfinite(whole), ensure_ascii=False, sort_keys=True))


def _written(values: list[Any]) -> list[str]:
    """Return the texts of *values*: short ones, unless those hide that they differ."""
    short, exact = list(map(_shown, values)), list(map(_exactly, values))
    return short if len(set(short)) == len(set(exact)) else exact


def _fields(runs: list[Run], parts: dict[str, list[_Row]]) -> dict[str, Any]:
    def listed(row: _Row) -> dict[str, Any]:
        values = [None if value is _MISSING else value for value in row.values]
        fields = {"values": values, "differs": row.differs}
        return {**fields, "best": [runs[at].run_id for at in sorted(row.best)]} if row.best else fields

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
    names = [shown(row.name) for rows in parts.values() for row in rows]
    first = min(_WIDEST_NAME, max((cell_len(name) for name in names), default=8) + 2)
    first = max(first, 10)
    room = len(runs) if width is None else max(1, (width - first) // (_NARROWEST + 2))
    for begin in range(0, len(runs), room):
        if begin:
            yield Text("")
        yield from _block(runs, parts, range(begin, min(begin + room, len(runs))), first, width)


def _block(
    runs: list[Run], parts: dict[str, list[_Row]], chosen: range, first: int, width: int | None
) -> Iterator[Text]:
    heads = [(shown(runs[at].run_name), *runs[at].outcome(runs[at].summary)) for at in chosen]
    lines: list[tuple[str, str, list[tuple[str, str]]]] = [
        ("", "", [(name, "bold") for name, _, _ in heads]),
        ("id", "dim", [(shown(runs[at].run_id), "dim") for at in chosen]),
        ("status", "dim", [(shown(status), STATUS_STYLES.get(status, "")) for _, status, _ in heads]),
        ("took", "dim", [("-" if took is None else narrow_duration(took), "") for _, _, took in heads]),
    ]
    for title, rows in parts.items():
        if rows:
            lines += [("", "", []), (title, "bold", [])]
        for row in rows:
            mark = f" {_DIFFERS}" if row.differs and title != "metrics" else ""
            name = fitted(shown(row.name), min(cell_len(shown(row.name)), first - len(mark))) + mark
            texts = _written(row.values)
            cells = [
                (texts[at] + BEST * (at in row.best), "bold green" if at in row.best else "yellow" if mark else "")
                for at in chosen
            ]
            lines.append((name, "" if mark else "dim", cells))
    widths = [max(cell_len(cells[at][0]) for _, _, cells in lines if cells) for at in range(len(chosen))]
    if width is not None:
        most = (width - first - 2 * len(chosen)) // len(chosen)
        widths = [min(size, max(_NARROWEST, most)) for size in widths]
    for name, style, cells in lines:
        text = Text.assemble((fitted(name, first), style))
        for (value, value_style), size in zip(cells, widths, strict=False):
            text.append("  ")
            text.append(fitted(value, size), value_style or None)
        yield text
