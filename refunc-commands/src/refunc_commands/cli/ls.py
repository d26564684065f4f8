"""`refunc ls`: the runs of a store, one per line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs
import click
from rich.cells import cell_len
from rich.text import Span, Text

from refunc.journal.kinds import RUNNING
from refunc.journal.ranks import newest, rank_files
from refunc.runs.ending import Glance
from refunc.runs.errors import RunFormatError
from refunc.runs.listing import glances
from refunc.runs.prefetch import cores
from refunc.runs.run import Run
from refunc.runs.unreadable import fault_of
from refunc.values.quantities import narrow_duration
from refunc_commands.cli.failure import Number
from refunc_commands.cli.finding import json_option, store_option, the_store
from refunc_commands.cli.screen import (
    STATUS_STYLES,
    ago,
    error_line,
    fitted,
    left_out,
    moment_text,
    number,
    print_json,
    print_lines,
    shown,
    window_width,
)

#: The most metrics on a line.
_SHOWN_METRICS = 4
_GAP = "  "
_HEAD = ("STATUS", "NAME", "EXPERIMENT", "STARTED", "TOOK", "METRICS", "ID")
_STATUS, _NAME, _EXPERIMENT, _STARTED, _TOOK, _METRICS = range(6)
#: How columns shrink in a narrow window, in this order: the least width of each; 0 leaves it out.
_CONCESSIONS = (
    (_STATUS, 12),
    (_NAME, 32),
    (_EXPERIMENT, 24),
    (_METRICS, 40),
    (_NAME, 20),
    (_EXPERIMENT, 14),
    (_METRICS, 20),
    (_NAME, 14),
    (_EXPERIMENT, 10),
    (_METRICS, 12),
    (_NAME, 10),
    (_EXPERIMENT, 6),
    (_METRICS, 0),
    (_EXPERIMENT, 0),
    (_TOOK, 0),
    (_STARTED, 0),
)


_EXAMPLES = """\b
Examples:
  refunc ls -n 10
  refunc ls --where "params.lr < 0.01 and metrics.accuracy.max > 0.9"
  refunc ls --sort=-metrics.accuracy.max -n 5
  refunc ls --experiment mnist --json | jq '.[].run_id'"""


@click.command(short_help="List the runs.", epilog=_EXAMPLES)
@json_option("Print one JSON array instead: all runs, nothing shortened.")
@click.option(
    "-n", "--number", "count", type=Number(1), metavar="N", help="Only the newest N runs; with --sort, the first N."
)
@click.option("--experiment", metavar="NAME", help="Only runs of this experiment (its name or id).")
@click.option("--where", metavar="EXPRESSION", help="Only runs that match this, such as `status == 'failed'`.")
@click.option("--sort", "order", metavar="EXPRESSION", help="Sort, lowest first; `-metrics.acc.max`: highest first.")
@click.option("--removed", is_flag=True, help="The runs that `refunc rm` has marked, instead of the others.")
@store_option
@click.pass_context
def ls(
    ctx: click.Context,
    as_json: bool,
    count: int | None,
    experiment: str | None,
    where: str | None,
    order: str | None,
    removed: bool,
    store: str | None,
) -> None:
    """
    List the runs: status, name, experiment, start, duration, a few metrics, id.

    The newest run comes last, next to the prompt; with --sort, the best comes first. On a terminal, each run takes one
    line, cut with `…` where it does not fit; in a pipe nothing is cut and times are in full. A run without an end whose
    process is gone is shown as crashed. The name of a run of several ranks or attempts is followed by their numbers.
    """
    place = the_store(ctx, store)
    listing = place.search(where, order_by=order, processes=cores(), removed=removed)
    runs, unreadable = listing.runs, listing.unreadable
    if experiment is not None:
        runs = [run for run in runs if experiment in (run.experiment_name, run.experiment_id)]
    if count is not None:
        runs = runs[-count:] if order is None else runs[:count]
    rows = [_Row(run, glance) for run, glance in glances(runs)]
    if as_json:
        print_json([_fields(row) for row in rows])
    elif rows:
        width = window_width()
        drawn, faults = _drawn(rows, relative=width is not None)
        unreadable = [*unreadable, *faults]
        print_lines(_table(drawn, width))
    else:
        of = f" of the experiment {experiment}" if experiment is not None else ""
        wanted = f" that match {where}" if where is not None else ""
        error_line(f"no {'removed ' if removed else ''}runs{of} in {place.path}{wanted}.")
    if listing.removed:
        several = f"{len(listing.removed):,} removed runs are" if len(listing.removed) > 1 else "1 removed run is"
        error_line(f"{several} hidden; `refunc ls --removed` shows them.")
    left_out(unreadable)


#: The cells of one line, each with its style.
_Cells: TypeAlias = list[tuple[str, str]]


@attrs.frozen
class _Row:
    run: Run
    glance: Glance


def _fields(row: _Row) -> dict[str, Any]:
    run, glance = row.run, row.glance
    return {
        "run_id": run.run_id,
        "run_name": run.given_name,
        "experiment_id": run.experiment_id,
        "experiment_name": run.experiment_name,
        "status": glance.status,
        "start_time": run.start_time,
        "duration": glance.duration,
        "last_metrics": glance.metrics,
        "folder": str(run.folder),
        **_numbers(run),
    }


def _drawn(rows: list[_Row], *, relative: bool) -> tuple[list[tuple[_Row, _Cells]], list[RunFormatError]]:
    """Return the cells of each run, and the errors of runs that cannot be read."""
    now = time.time()
    drawn: list[tuple[_Row, _Cells]] = []
    faults = []
    for row in rows:
        try:
            drawn.append((row, _cells(row, now, relative=relative)))
        except Exception as error:
            faults.append(fault_of(row.run.folder, error))
    return drawn, faults


def _table(lines: list[tuple[_Row, _Cells]], width: int | None) -> Iterator[Text]:
    """Yield a heading and one line per run. With a *width*, names and metrics shrink until a line fits."""
    cells = [line for _, line in lines]
    widths = [max(cell_len(title), *(cell_len(line[at][0]) for line in cells)) for at, title in enumerate(_HEAD)]
    if width is not None:
        widths = _narrowed(widths, width)
        for row, line in lines:
            line[_METRICS] = (_metrics(row.glance.metrics, widths[_METRICS]), "")
    for line in ([(title, "bold") for title in _HEAD], *cells):
        shown_cells = [(fitted(text, size), style) for (text, style), size in zip(line, widths, strict=True) if size]
        yield Text(_GAP.join(text for text, _ in shown_cells), spans=_spans(shown_cells))


def _spans(cells: list[tuple[str, str]]) -> list[Span]:
    spans, begin = [], 0
    for text, style in cells:
        if style:
            spans.append(Span(begin, begin + len(text), style))
        begin += len(text) + len(_GAP)
    return spans


def _cells(row: _Row, now: float, *, relative: bool) -> _Cells:
    """Return the cells of a line, each with its style."""
    run, glance = row.run, row.glance
    seconds = max(0.0, now - run.start_time) if glance.status == RUNNING else glance.duration
    return [
        (shown(glance.status), STATUS_STYLES.get(glance.status, "")),
        (shown(run.given_name or "-") + _several(run), ""),
        (shown(run.experiment_name), ""),
        (ago(run.start_time, now) if relative else moment_text(run.start_time), ""),
        (narrow_duration(seconds) if seconds is not None else "-", ""),
        (_metrics(glance.metrics, None), ""),
        (shown(run.run_id), "dim"),
    ]


def _numbers(run: Run) -> dict[str, int]:
    """Return how many ranks the run has, and the number of its last attempt; nothing if it has one of both."""
    try:
        files = rank_files(run.folder)
    except OSError:  # `show` says so
        return {}
    if not files or (len(newest(files)), files[-1].role.attempt) == (1, 1):
        return {}
    return {"ranks": len(newest(files)), "attempt": files[-1].role.attempt}


def _several(run: Run) -> str:
    """Return the same in brackets, without a number that is 1; empty if there is nothing to say."""
    numbers = _numbers(run)
    ranks, attempt = numbers.get("ranks", 1), numbers.get("attempt", 1)
    told = [*([f"{ranks:,} ranks"] if ranks > 1 else []), *([f"attempt {attempt:,}"] if attempt > 1 else [])]
    return f" ({', '.join(told)})" if told else ""


def _metrics(metrics: dict[str, Any], width: int | None) -> str:
    """Return `loss=0.123 accuracy=0.98`: as many pairs as fit *width*, and at most four; numbers are never cut."""
    text = ""
    for name, value in list(metrics.items())[:_SHOWN_METRICS]:
        label, amount = shown(name), "=" + number(value, 4)
        if width is not None and cell_len(text + label + amount) + bool(text) > width:
            room = width - cell_len(amount)
            return text or (fitted(label, room) + amount if room > 1 else "")
        text = f"{text} {label}{amount}".lstrip()
    return text


def _narrowed(widths: list[int], width: int) -> list[int]:
    """Return *widths* reduced until a line has *width* columns, if possible; 0 leaves a column out."""
    narrow = list(widths)
    excess = sum(narrow) + len(_GAP) * (len(narrow) - 1) - width
    for at, least in _CONCESSIONS:
        if excess <= 0:
            break
        size = max(least, narrow[at] - excess) if least else 0
        if size < narrow[at]:
            excess -= narrow[at] - size + (0 if size else len(_GAP))
            narrow[at] = size
    if excess < 0:  # a column was left out: the name gets its room
        narrow[_NAME] = min(widths[_NAME], narrow[_NAME] - excess)
    return narrow
