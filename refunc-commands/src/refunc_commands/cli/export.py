"""`refunc export`: points or log entries of runs as a file that other tools open."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click
from rich.text import Text

from refunc.runs import entries_file
from refunc.runs.exporting import Exported, export_entries_of, export_groups_of, export_points_of
from refunc.runs.reader_process import cores
from refunc.runs.selection import Attempts, Ranks, Selection
from refunc.runs.series import FEWEST
from refunc.runs.table_file import FORMATS
from refunc.values.printable import printable_line
from refunc.values.quantities import counted
from refunc.values.terminal import is_terminal
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import chosen
from refunc_commands.cli.failure import Failure, Number
from refunc_commands.cli.finding import metrics_option, rank_option, refuse_missing
from refunc_commands.cli.grouping import group_option
from refunc_commands.cli.losses import tell_losses
from refunc_commands.cli.options import json_option, output_option, store_option
from refunc_commands.cli.screen import print_json, print_lines
from refunc_commands.cli.streams import error_line, left_out, shown

#: The descriptor of stdout.
_STDOUT = 1

_EXAMPLES = """\b
Examples:
  refunc export -o points.parquet
  refunc export resnet_v1 resnet_v2 -m loss -m val/loss --to csv
  refunc export resnet_v1 --rank all --to csv
  refunc export --group params.model -m val/loss -o seeds.csv
  refunc export k3f9 --entries --to jsonl -o - | jq -r .message"""


@click.command(epilog=_EXAMPLES)
@choosing()
@click.option("--to", "format", type=click.Choice(FORMATS), help="The format; by default that of the file's suffix.")
@output_option("The file to write, by default `points.FORMAT`; `-` is stdout.")
@metrics_option("Only this metric, or a pattern such as `*/loss`; repeatable.")
@click.option(
    "--entries", is_flag=True, help="Export log entries instead of points: lines, metrics, params and all others."
)
@rank_option("The points of this rank; all, with a column `rank`; or mean, min or max of all ranks.")
@click.option(
    "--attempts",
    type=click.Choice(("newest", "all")),
    default="newest",
    help="all: also the points that later attempts have replaced, with a column `attempt`.",
)
@group_option("A row for each step of all runs with the same value, such as params.model: their mean, ends and others.")
@click.option("--max-points", type=Number(FEWEST), metavar="N", help="At most N points of each metric.")
@json_option("Print a JSON object that describes the file.")
@store_option
@click.pass_context
def export(
    ctx: click.Context,
    choice: Choice,
    format: str | None,
    output: str | None,
    metrics: tuple[str, ...],
    entries: bool,
    rank: Ranks,
    attempts: Attempts,
    groups: tuple[str, ...],
    max_points: int | None,
    as_json: bool,
    store: str | None,
) -> None:
    """
    Write the points of runs to a file: one row per point, with its run, metric, step, epoch, time and value.

    RUN is an id, a name or a folder; without RUN, all runs of the store are exported. All points are written unless
    --max-points is given, which keeps minima and maxima. The file appears only once it is complete.

    Of a run of several ranks, the points of rank 0 are written, or of the lowest rank that logged the metric; of
    several attempts, the newest value of each step. A run without ranks has one, 0. Log entries are those of all ranks
    and attempts, and say which.

    With --group, each row is of a group of runs, a metric and a step: how many runs reach it, and their mean, standard
    deviation, median, quartiles and ends. A curve is read between its points where it lacks a step that another has.
    """
    noun = "entries" if entries else "rows" if groups else "points"
    kind = _format(format, output, entries_file.FORMATS if entries else FORMATS)
    target = output or f"{'groups' if groups else noun}.{kind}"
    if entries and (metrics or max_points is not None or (rank, attempts) != (None, "newest")):
        said = "-m, --rank, --attempts and --max-points choose points. Leave them out, or --entries"
        raise Failure(f"{said}; see `refunc logs --rank`.")
    if groups and (entries or (rank, attempts) != (None, "newest")):
        raise Failure("--group is of the usual curves: leave out --entries, --rank and --attempts.")
    _refuse_stdout(target, kind, as_json=as_json)
    named = bool(choice.names)
    listing = chosen(ctx, store, choice)
    if named:  # then one that cannot be read ends the command
        refuse_missing(listing.runs, rank)
    else:
        listing = listing.listable()
    selection = Selection(rank, attempts)
    write = export_entries_of if entries else _writer_of_curves(groups, metrics, max_points, selection)
    with _sink(target) as sink:
        exported = write(listing, sink, kind, all_needed=named)
    _say(exported, target, kind, noun, as_json=as_json)
    if not exported.count:
        error_line(f"there is nothing to export: {_why_nothing(exported, rank, entries=entries)}")
    if not entries:  # which are not counted while they are read
        tell_losses(exported.runs)
    left_out(exported.unreadable)


def _writer_of_curves(
    groups: tuple[str, ...], metrics: tuple[str, ...], most: int | None, selection: Selection
) -> Callable[..., Exported]:
    asked: dict[str, Any] = {"metrics": metrics, "most": most, "processes": cores()}
    if groups:
        return partial(export_groups_of, names=groups, **asked)
    return partial(export_points_of, selection=selection, **asked)


def _refuse_stdout(target: str, format: str, *, as_json: bool) -> None:
    """Refuse stdout if --json needs it, or if a terminal would get a binary file."""
    if target == "-" and as_json:
        raise Failure("with `-o -` the export itself goes to stdout. Name a file with -o, or leave out --json.")
    if target == "-" and format == "parquet" and is_terminal(sys.stdout):
        raise Failure("parquet is a binary format, and stdout is a terminal. Name a file with -o.")


def _say(exported: Exported, target: str, format: str, noun: str, *, as_json: bool) -> None:
    size = os.path.getsize(target) if os.path.isfile(target) else 0
    if as_json:
        facts = {"file": os.path.realpath(target), "format": format, "bytes": size, noun: exported.count}
        print_json({**facts, "runs": [run.run_id for run in exported.runs]})
    elif target != "-":
        of = counted(len(exported.runs), "run")
        print_lines([Text(f"{exported.count:,} {noun} of {of}: {shown(target)} ({size:,} bytes)")])


def _why_nothing(exported: Exported, rank: Ranks, *, entries: bool) -> str:
    """Return why a file has no row. It is not an error: a program that reads the file gets its columns."""
    number = len(exported.runs)
    if not number:
        return "no runs"
    noun = "entries" if entries else f"points of rank {rank}" if isinstance(rank, int) else "points"
    return f"the run has no {noun}" if number == 1 else f"none of the {number:,} runs has {noun}"


@contextmanager
def _sink(target: str) -> Iterator[str | int]:
    """Yield the target of an export: for a terminal a temporary file, printed at the end without control codes."""
    if target != "-" or not is_terminal(sys.stdout):
        yield _STDOUT if target == "-" else target
        return
    with TemporaryFile("w+", encoding="utf-8", newline="\n") as file:
        yield file.fileno()
        file.seek(0)
        for line in file:
            click.echo(printable_line(line.rstrip("\r\n")))


def _format(format: str | None, output: str | None, allowed: Sequence[str]) -> str:
    wanted = format or Path(output or "").suffix.lstrip(".").lower()
    if wanted not in allowed:
        said = f"{wanted!r} is not an export format"
        if not wanted and output is None:
            raise Failure(
                f"name a file, as in -o points.csv, or a format, as in --to csv. Formats: {', '.join(allowed)}."
            )
        if not wanted:
            said = "the file has no suffix that names its format"
        raise Failure(f"{said}. Allowed for --to: {', '.join(allowed)}.")
    return wanted
