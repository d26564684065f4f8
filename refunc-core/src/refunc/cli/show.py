"""`refunc show RUN`: all that one run's folder says about it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from typing import Any

import click
from rich.cells import cell_len
from rich.text import Text

from refunc.cli.finding import run_argument, store_option, the_run
from refunc.cli.screen import (
    BEST,
    STATUS_STYLES,
    moment,
    number,
    plain,
    print_json,
    print_lines,
    shown,
    table,
    window_width,
)
from refunc.journal.kinds import RUNNING
from refunc.journal.reader import Account
from refunc.logging.quantities import amount, duration
from refunc.logging.terminal import printable
from refunc.runs.run import Run
from refunc.runs.summary import MetricSummary
from refunc.runs.table import flat

#: Characters of a value that a terminal gets.
_LONGEST = 1_000
#: Metrics that a table has; a run may have made up names without end.
_MOST_METRICS = 1_000

_EXAMPLES = """\b
Examples:
  refunc show resnet_v1
  refunc show k3f9
  refunc show experiments/20261123-144539_resnet_v1_k3f9a2b7 --json"""


@click.command(short_help="Show one run.", epilog=_EXAMPLES)
@run_argument()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@store_option
@click.pass_context
def show(ctx: click.Context, run: str, as_json: bool, store: str | None) -> None:
    """
    Show one run: names, status, params, tags, results, metrics, artifacts, and what ended it.

    RUN is an id or the unique beginning of one, a name (the newest run that has it), or the run's folder.
    """
    found = the_run(ctx, store, run)
    if as_json:
        print_json(found.to_dict())
    else:
        print_lines(_lines(found, found.to_dict(metrics=False), window_width()))


def _lines(run: Run, facts: dict[str, Any], width: int | None) -> Iterator[Text]:
    limit = _LONGEST if width is not None else None
    yield from _pairs(_head(run, facts), limit, indent="")
    for title in ("tags", "params", "results"):
        if facts[title]:
            yield from _section(title)
            yield from _pairs(((name, Text(plain(value))) for name, value in flat(facts[title])), limit)
    if run.summary.metrics:
        yield from _section("metrics")
        yield from _metrics(run.summary.metrics, width)
    if facts["artifacts"]:
        yield from _section("artifacts")
        yield from _columns(
            (shown(item["name"]), amount(item["size"]), shown(item["stored"] or f"not copied: {item['source']}"))
            for item in facts["artifacts"]
        )
    if facts["error"]:
        yield from _section("error")
        yield Text("  " + printable(facts["error"].rstrip("\n"), indent="  "))
    told = list(_told(run.summary.account, live=facts["status"] == RUNNING))
    if told:
        yield from _section("journal", "not whole")
        yield from (Text(f"  {line}", "yellow") for line in told)


def _head(run: Run, facts: dict[str, Any]) -> Iterator[tuple[str, Text]]:
    status, seconds = facts["status"], facts["duration"]
    if status == RUNNING:
        seconds = time.time() - run.start_time
    yield "run", Text(shown(facts["run_name"] or "-"), "bold")
    yield "id", Text(shown(run.run_id))
    same = facts["experiment_id"] == facts["experiment_name"]
    yield "experiment", Text(shown(run.experiment_name) + ("" if same else f" (id {shown(run.experiment_id)})"))
    if run.parent_id is not None:
        yield "parent", Text(shown(run.parent_id))
    yield "status", Text(shown(status), STATUS_STYLES.get(status, ""))
    yield "started", Text(moment(run.start_time))
    if seconds is not None:
        so_far = {"running": " so far", "crashed": " to the last record"}.get(status, "")
        yield "duration", Text(duration(seconds) + so_far)
    if facts["script"]:
        yield "script", Text(shown(facts["script"]))
    if facts["host"]:
        yield "host", Text(shown(facts["host"]))
    yield "folder", Text(shown(run.folder))


def _metrics(metrics: dict[str, MetricSummary], width: int | None) -> Iterator[Text]:
    """Yield a table of what the metrics come to, the best value of each marked."""
    titles = ["last", "min", "max", "mean", "count"]
    head = [Text(""), *(Text(title, "dim") for title in titles)]
    rows = []
    for name in nsmallest(_MOST_METRICS, metrics):
        metric = metrics[name]
        cells = [Text(number(getattr(metric, title), 5)) for title in titles[:4]]
        if metric.goal and metric.best is not None:
            best = titles.index(metric.goal)
            cells[best] = Text(cells[best].plain + BEST, "bold green")
        count = f"{metric.count:,}" + (f" ({metric.nans:,} NaN)" if metric.nans else "")
        rows.append([Text(shown(name), "dim"), *cells, Text(count)])
    yield from table(head, rows, width, dispensable=(4, 5, 2, 3))
    if len(metrics) > len(rows):
        yield Text(f"  and {len(metrics) - len(rows):,} more; --json has them all", "dim")
    if any(metric.best is not None for metric in metrics.values()):
        yield Text(f"  {BEST} the best", "dim")


def _section(title: str, note: str = "") -> Iterator[Text]:
    yield Text("")
    yield Text.assemble((title, "bold"), (f"  ({note})" if note else "", "dim"))


def _pairs(pairs: Iterable[tuple[str, Text]], limit: int | None, indent: str = "  ") -> Iterator[Text]:
    """Yield `name  value` with the values below each other; a value longer than *limit* is cut, and says so."""
    rows = [(shown(name), value) for name, value in pairs]
    size = min(40, max((cell_len(name) for name, _ in rows), default=0))
    for name, value in rows:
        if limit is not None and len(value.plain) > limit:
            note = f"… ({len(value.plain):,} characters; --json has them all)"
            value = Text(value.plain[:limit] + note, value.style)
        yield Text.assemble(indent, (name + " " * (size - cell_len(name)), "dim"), "  ", value)


def _columns(rows: Iterable[tuple[str, str, str]]) -> Iterator[Text]:
    """Yield a name, a number to the right, and a last cell."""
    table = list(rows)
    first = min(40, max(cell_len(row[0]) for row in table))
    second = max(cell_len(row[1]) for row in table)
    for name, amount_, last in table:
        padded = name + " " * (first - cell_len(name))
        yield Text.assemble("  ", (padded, "dim"), "  ", " " * (second - cell_len(amount_)), amount_, "  ", last)


def _told(account: Account, *, live: bool) -> Iterator[str]:
    """Yield what is not there, one line each; the unfinished line of a live writer is no loss."""
    if account.dropped:
        yield f"{account.dropped:,} records were dropped by the writer: the disk took none"
    if account.missing:
        yield f"{account.missing:,} records are missing: their numbers are on no line"
    if account.damaged:
        yield f"{account.damaged:,} lines or files are damaged or unreadable, and were skipped"
    if account.torn and not live:
        yield f"{account.torn:,} lines are unfinished: the writer was stopped in the middle"
