"""`refunc ls`: the runs of a store, one per line."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import click
from rich.cells import cell_len
from rich.text import Text

from refunc.journal.kinds import RUNNING
from refunc.journal.ranks import newest, rank_files
from refunc.runs.errors import RunFormatError
from refunc.runs.glance import Glance
from refunc.runs.glances import glances
from refunc.runs.run import Run
from refunc.runs.unreadable import fault_of
from refunc.values.moments import moment_text
from refunc.values.quantities import narrow_duration
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import answered
from refunc_commands.cli.columns import Column, named_columns, wanted_columns
from refunc_commands.cli.completions import complete_names
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.finding import metrics_option, the_store
from refunc_commands.cli.grouping import group_option
from refunc_commands.cli.options import json_option, store_option
from refunc_commands.cli.screen import (
    STATUS_STYLES,
    ago,
    fitted,
    number,
    print_json,
    print_lines,
    window_width,
)
from refunc_commands.cli.streams import error_line, left_out, shown

if TYPE_CHECKING:
    from refunc.runs.expression.asked import Asked, Path

#: The most metrics on a line.
_SHOWN_METRICS = 4
_GAP = "  "
_STATUS, _NAME, _EXPERIMENT, _STARTED, _TOOK, _METRICS, _ID = _HEAD = (
    *("STATUS", "NAME", "EXPERIMENT", "STARTED", "TOOK", "METRICS (last)", "ID"),
)
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
  refunc ls --group params.model -m val/loss
  refunc ls --columns params.lr,metrics.val/loss.min --since 2d
  refunc ls --experiment mnist --json | jq '.[].run_id'"""


@click.command(epilog=_EXAMPLES)
@json_option("Print one JSON array instead: all runs, nothing shortened.")
@choosing()
@click.option(
    "--columns",
    multiple=True,
    callback=named_columns,
    metavar="NAMES",
    shell_complete=complete_names,
    help="Show these values instead, as params.lr,metrics.val/loss.min,tags.team,status.",
)
@group_option("A line for all runs with the same value, such as params.model, and -m over them; repeatable.")
@metrics_option("With --group: a metric, or a pattern such as `*/loss`; repeatable.")
@click.option("--removed", is_flag=True, help="The runs that `refunc rm` has marked, instead of the others.")
@store_option
@click.pass_context
def ls(
    ctx: click.Context,
    choice: Choice,
    as_json: bool,
    columns: tuple[Asked, ...] | None,
    groups: tuple[str, ...],
    metrics: tuple[str, ...],
    removed: bool,
    store: str | None,
) -> None:
    """
    List the runs: status, name, experiment, start, duration, a few metrics, id.

    The newest run comes last, next to the prompt; with --sort, the best comes first. The names in --sort and --where
    have columns of their own. On a terminal, each run takes one line, cut with `…` where it does not fit; in a pipe
    nothing is cut and times are in full. A run without an end whose process is gone is shown as crashed. The name of a
    run of several ranks or attempts is followed by their numbers. A metric is shown with its last value, or with the
    one that `define_metric` selects, as in `acc.max=0.9`.

    With --group, each line is a group of runs, such as the seeds of a model: how many have the metric, its mean,
    standard deviation, median, and ends. The value of a run is the one that a line shows; `val/loss.min` is another.
    """
    _refuse_half(groups, metrics, columns)
    found = answered(ctx, store, choice, columns=columns or (), params=as_json, removed=removed)
    named, others = wanted_columns(columns, choice.where, choice.order)
    values = {run.folder: each for run, each in found.runs}
    shown_runs = () if groups else (run for run, _ in found.runs)
    rows = [_Row(run, glance, values[run.folder]) for run, glance in glances(shown_runs)]
    unreadable = found.unreadable
    if groups and found.runs:
        from refunc_commands.cli.grouped import print_groups

        print_groups([run for run, _ in found.runs], groups, metrics, as_json=as_json)
    elif as_json:
        print_json([_fields(row, named) for row in rows])
    elif rows:
        width = window_width()
        titles = (_NAME, _ID) if columns is not None else _HEAD
        drawn, faults = _drawn(rows, titles, [*named, *others], relative=width is not None)
        unreadable = [*unreadable, *faults]
        print_lines(_table(drawn, width))
    else:
        error_line(choice.nothing_in(the_store(ctx, store), removed=removed))
    if found.hidden and not removed:
        several = f"{found.hidden:,} removed runs are" if found.hidden > 1 else "1 removed run is"
        error_line(f"{several} hidden; `refunc ls --removed` shows them.")
    left_out(unreadable)


def _refuse_half(groups: tuple[str, ...], metrics: tuple[str, ...], columns: tuple[Asked, ...] | None) -> None:
    """Refuse options that mean nothing without each other, or together. Raises Failure."""
    if metrics and not groups:
        columns_said = ",".join(f"metrics.{name}" for name in metrics)
        raise Failure(f"-m is for the runs of a --group. For a column: --columns {columns_said}")
    if groups and columns is not None:
        raise Failure("--columns is for single runs: leave it out with --group.")


#: The cells of one line by the titles of their columns, each with its style.
_Cells: TypeAlias = dict[str, tuple[str, str]]


@attrs.frozen
class _Row:
    run: Run
    glance: Glance
    values: dict[Path, Any]


def _fields(row: _Row, columns: list[Column]) -> dict[str, Any]:
    run, glance = row.run, row.glance
    return {
        "run_id": run.run_id,
        "run_name": run.given_name,
        "experiment_id": run.experiment_id,
        "experiment_name": run.experiment_name,
        "status": glance.status,
        "start_time": run.start_time,
        "duration": glance.duration,
        "params": row.values["params",],
        "last_metrics": glance.metrics,
        "folder": str(run.folder),
        **_numbers(run),
        **({"columns": {column.title: column.value(row.values) for column in columns}} if columns else {}),
    }


def _drawn(
    rows: list[_Row], titles: Sequence[str], columns: list[Column], *, relative: bool
) -> tuple[list[tuple[_Row, _Cells]], list[RunFormatError]]:
    """Return the cells of each run, and the errors of runs that cannot be read."""
    now = time.time()
    drawn: list[tuple[_Row, _Cells]] = []
    faults = []
    before = [title for title in titles if title not in (_METRICS, _ID)]
    for row in rows:
        try:
            usual = _cells(row, now, relative=relative)
            asked = {column.title: column.cell(row.values, now, relative=relative) for column in columns}
            order = [*before, *asked, *titles[len(before) :]]
            drawn.append((row, {title: asked[title] if title in asked else usual[title] for title in order}))
        except Exception as error:
            faults.append(fault_of(row.run.folder, error))
    return drawn, faults


def _table(lines: list[tuple[_Row, _Cells]], width: int | None) -> Iterator[Text]:
    """Yield a heading and one line per run. With a *width*, names and metrics shrink until a line fits."""
    if not lines:
        return
    cells = [line for _, line in lines]
    widths = {title: max(cell_len(shown(title)), *(cell_len(line[title][0]) for line in cells)) for title in cells[0]}
    if width is not None:
        widths = _narrowed(widths, width)
        for row, line in lines:
            if _METRICS in line:
                line[_METRICS] = (_metrics(row.glance, widths[_METRICS]), "")
    for line in ({title: (shown(title), "bold") for title in widths}, *cells):
        text = Text()
        for title, size in widths.items():
            if size:
                text.append(_GAP if text else "").append(fitted(line[title][0], size), line[title][1])
        yield text


def _cells(row: _Row, now: float, *, relative: bool) -> _Cells:
    """Return the cells that each line may have."""
    run, glance = row.run, row.glance
    seconds = max(0.0, now - run.start_time) if glance.status == RUNNING else glance.duration
    return {
        _STATUS: (shown(glance.status), STATUS_STYLES.get(glance.status, "")),
        _NAME: (shown(run.given_name or "-") + _several(run), ""),
        _EXPERIMENT: (shown(run.experiment_name), ""),
        _STARTED: (ago(run.start_time, now) if relative else moment_text(run.start_time), ""),
        _TOOK: (narrow_duration(seconds) if seconds is not None else "-", ""),
        _METRICS: (_metrics(glance, None), ""),
        _ID: (shown(run.run_id), "dim"),
    }


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


def _metrics(glance: Glance, width: int | None) -> str:
    """Return `loss=0.123 accuracy.max=0.98`: as many pairs as fit *width*, and at most four; numbers are never cut."""
    text = ""
    for name, value in list(glance.metrics.items())[:_SHOWN_METRICS]:
        chosen = f".{glance.chosen[name]}" if name in glance.chosen else ""
        label, amount = shown(name), f"{chosen}={number(value, 4)}"
        if width is not None and cell_len(text + label + amount) + bool(text) > width:
            room = width - cell_len(amount)
            return text or (fitted(label, room) + amount if room > 1 else "")
        text = f"{text} {label}{amount}".lstrip()
    return text


def _narrowed(widths: dict[str, int], width: int) -> dict[str, int]:
    """Return *widths* reduced until a line has *width* columns, if possible; 0 leaves a column out."""
    narrow = dict(widths)
    excess = sum(narrow.values()) + len(_GAP) * (len(narrow) - 1) - width
    for title, least in _CONCESSIONS:
        if excess <= 0:
            break
        if title not in narrow:
            continue
        size = max(least, narrow[title] - excess) if least else 0
        if size < narrow[title]:
            excess -= narrow[title] - size + (0 if size else len(_GAP))
            narrow[title] = size
    if excess < 0 and _NAME in narrow:  # a column was left out: the name gets its room
        narrow[_NAME] = min(widths[_NAME], narrow[_NAME] - excess)
    return narrow
