"""`refunc export`: points or log entries of runs as a file that other tools open."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile

import click
from rich.text import Text

from refunc.cli.failure import Failure, Number
from refunc.cli.finding import metrics_option, output_option, run_argument, store_option, the_run, the_store
from refunc.cli.screen import error_line, left_out, print_json, print_lines, shown
from refunc.logging.terminal import is_terminal, printable_line
from refunc.runs import export as entries_file
from refunc.runs.ahead import cores, read_ahead
from refunc.runs.points import FORMATS, curves, export_points
from refunc.runs.run import Run, RunFormatError
from refunc.runs.series import FEWEST
from refunc.runs.store import readable

#: The number of that file.
_STDOUT = 1

_EXAMPLES = """\b
Examples:
  refunc export -o points.parquet
  refunc export resnet_v1 resnet_v2 -m loss -m val/loss --to csv
  refunc export k3f9 --entries --to jsonl -o - | jq -r .message"""


@click.command(short_help="Write the points of runs to a file.", epilog=_EXAMPLES)
@run_argument(nargs=-1, metavar="[RUN]...")
@click.option("--to", "format", type=click.Choice(FORMATS), help="The format; else what the file's suffix says.")
@output_option("Where to, by default `points.FORMAT`; `-` is stdout.")
@metrics_option("Only this one; may be given repeatedly.")
@click.option("--where", metavar="EXPRESSION", help="Only runs for which this holds.")
@click.option("--entries", is_flag=True, help="Log entries instead of points: lines, metrics, params, all of them.")
@click.option("--max-points", type=Number(FEWEST), metavar="N", help="At most N points of each metric.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as a JSON object.")
@store_option
@click.pass_context
def export(
    ctx: click.Context,
    runs: tuple[str, ...],
    format: str | None,
    output: str | None,
    metrics: tuple[str, ...],
    where: str | None,
    entries: bool,
    max_points: int | None,
    as_json: bool,
    store: str | None,
) -> None:
    """
    Write the points of runs to a file: a row a point, with its run, metric, step, epoch, time and value.

    RUN is an id, a name or a folder; without one, it is every run of the store. Nothing is left out unless
    --max-points says so, which keeps minima and maxima. The file is there complete or not at all.
    """
    chosen = _format(format, output, entries_file.FORMATS if entries else FORMATS)
    target = output or f"{'entries' if entries else 'points'}.{chosen}"
    if target == "-" and as_json:
        raise Failure("with `-o -` stdout is the file itself. Name a file with -o, or leave --json.")
    if target == "-" and chosen == "parquet" and is_terminal(sys.stdout):
        raise Failure("parquet is nothing for a terminal. Name a file with -o.")
    unreadable: list[RunFormatError] = []
    found = _chosen(ctx, store, runs, where, unreadable)
    with read_ahead(found, cores() if metrics or not entries else 0) as in_turn, _sink(target) as sink:
        if metrics:
            _check(metrics, list(in_turn))
        if entries:
            count = entries_file.export(lambda: chain.from_iterable(run.entries() for run in found), sink, chosen)
        else:
            points = curves(found if metrics else in_turn, metrics or None, max_points=max_points)
            count = export_points(points, sink, chosen)
    what = "entries" if entries else "points"
    size = os.path.getsize(target) if os.path.isfile(target) else 0
    if as_json:
        facts = {"file": os.path.realpath(target), "format": chosen, "bytes": size, what: count}
        print_json({**facts, "runs": [run.run_id for run in found]})
    elif target != "-":
        of = f"{len(found):,} run{'s' * (len(found) != 1)}"
        print_lines([Text(f"{count:,} {what} of {of}: {shown(target)} ({size:,} bytes)")])
    elif not count:
        error_line("there is nothing to export.")
    left_out(unreadable)


@contextmanager
def _sink(target: str) -> Iterator[str | int]:
    """Give what an export writes to: a terminal sees it when it is whole, with nothing in it that acts on that."""
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
        said = f"{wanted!r} is none." if wanted else "which is it?"
        raise Failure(f"the format of the file: {said} Allowed for --to: {', '.join(allowed)}.")
    return wanted


def _check(metrics: Sequence[str], runs: Sequence[Run]) -> None:
    """Refuse a metric that no run has: it is a slip of the keyboard."""
    known = {name for run in runs for name in run.summary.metrics}
    for name in metrics:
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0.5)
            raise Failure(f"no run has a metric {name!r}." + (f" Did you mean {', '.join(near)}?" if near else ""))


def _chosen(
    ctx: click.Context, store: str | None, names: tuple[str, ...], where: str | None, unreadable: list[RunFormatError]
) -> list[Run]:
    if not names:
        return readable(the_store(ctx, store).find(where, unreadable=unreadable, processes=cores()), unreadable)
    named = {run.folder: run for run in (the_run(ctx, store, name) for name in names)}
    if where is None:
        return list(named.values())
    wanted = {run.folder for run in the_store(ctx, store).find(where, processes=cores())}
    return [run for folder, run in named.items() if folder in wanted]
