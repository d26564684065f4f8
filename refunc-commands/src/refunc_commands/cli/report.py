"""`refunc report`: runs as one HTML file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click
from rich.text import Text

from refunc.runs.bands import Center, Spread
from refunc.runs.entries_file import whole_file
from refunc.runs.errors import RunError
from refunc.runs.prefetch import read_ahead
from refunc.runs.run import Run
from refunc.runs.selection import Ranks
from refunc.values.quantities import amount, counted
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import readable
from refunc_commands.cli.failure import Failure, Number
from refunc_commands.cli.finding import rank_option, refuse_missing
from refunc_commands.cli.grouping import band_options
from refunc_commands.cli.losses import tell_losses
from refunc_commands.cli.options import json_option, output_option, store_option
from refunc_commands.cli.screen import of_rank, print_json, print_lines
from refunc_commands.cli.streams import error_line, shown
from refunc_commands.report.content import content_of
from refunc_commands.report.curves import CURVES, MAX_POINTS, Drawing
from refunc_commands.report.page import page

#: The runs whose names are the heading.
_NAMED: Final = 8

_EXAMPLES = """\b
Examples:
  refunc report resnet_v1
  refunc report resnet_v1 resnet_v2 -o comparison.html
  refunc report --where "tags.team == 'vision'" -n 20
  refunc report --experiment digits --group params.model
  refunc report k3f9 -o - | gzip > report.html.gz"""


@click.command(epilog=_EXAMPLES)
@choosing()
@output_option("The file to write; `-` is stdout. An existing file is replaced.", default="report.html")
@rank_option("Curves and values of this rank; all, one curve a rank; or the mean, min or max of all ranks.")
@band_options
@click.option("--title", metavar="TEXT", help="The heading; by default the names of the first runs.")
@click.option(
    "--max-points",
    type=Number(100),
    default=MAX_POINTS,
    show_default=True,
    metavar="N",
    help="Draw at most N points in total.",
)
@json_option("Print a JSON object that describes the file.")
@store_option
@click.pass_context
def report(
    ctx: click.Context,
    /,
    choice: Choice,
    output: str,
    rank: Ranks,
    groups: tuple[str, ...],
    center: Center,
    spread: Spread,
    title: str | None,
    max_points: int,
    as_json: bool,
    store: str | None,
) -> None:
    """
    Write a report of one or more runs: curves, params side by side, log, pictures, environment.

    RUN is an id, a name or a folder; without RUN and options, it is the newest run, and with --group all of them.

    It is one self-contained HTML file: it opens offline, and loads and sends nothing. Long curves are reduced to their
    lowest and highest points, and the report says so. Curves are those of rank 0 unless --rank is given; log lines are
    those of all ranks, marked. With --group, runs with the same value, such as the seeds of a model, are one curve with
    a band.
    """
    if groups and rank is not None:
        raise Failure("--rank chooses curves of single runs: leave it out with --group.")
    if output == "-" and as_json:
        raise Failure("with `-o -` the report itself goes to stdout. Name a file with -o, or leave out --json.")
    found = readable(ctx, store, choice, newest=None if groups else 1)
    refuse_missing(found, rank)
    heading = title or _names(found) + (f" ({of_rank(rank)})" if rank is not None else "")
    made = time.strftime("%Y-%m-%d %H:%M %Z")
    drawing = Drawing(rank, groups, center, spread, max_points)
    try:
        with read_ahead(found) as in_turn:
            tell_losses(in_turn)
            content = content_of(found, title=shown(heading)[:300], made=made, drawing=drawing)
            document = page(content["title"], content).encode()
    except RunError:
        raise
    except ValueError as error:
        raise Failure(str(error)) from error
    facts = _facts(found, content, output, len(document))
    if output == "-":
        sys.stdout.buffer.write(document)
        sys.stdout.buffer.flush()
    else:
        with whole_file(output, binary=True) as file:
            file.write(document)
        if as_json:
            print_json(facts)
        else:
            print_lines([_sentence(facts, output)])
    for line in _left_out(facts, len(content["runs"]), are_grouped=bool(groups)):
        error_line(line)


def _facts(found: Sequence[Run], content: dict[str, Any], output: str, size: int) -> dict[str, Any]:
    curves = [curve for chart in content["charts"]["list"] for curve in chart["curves"]]
    return {
        "file": os.path.realpath(output),
        "bytes": size,
        "runs": [run.run_id for run in found],
        "runs_left_out": content["runs_left_out"],
        "charts": len(content["charts"]["list"]),
        "charts_left_out": content["charts"]["left_out"],
        "points": sum(curve["of"] for curve in curves),
        "points_drawn": sum(len(curve["y"]) for curve in curves),
    }


def _sentence(facts: dict[str, Any], output: str) -> Text:
    drawn = f"{facts['points_drawn']:,} of {counted(facts['points'], 'point')} drawn"
    of = f"{counted(len(facts['runs']), 'run')}, {counted(facts['charts'], 'chart')}"
    return Text(f"{shown(output)}: {amount(facts['bytes'])}, {of}, {drawn}")


def _left_out(facts: dict[str, Any], kept: int, *, are_grouped: bool) -> Iterator[str]:
    """Yield a sentence for each part that the report, which has *kept* of the runs, has no room for."""
    several = len(facts["runs"])
    if facts["runs_left_out"]:
        of_all = " Its groups are of all runs." if are_grouped else ""
        yield f"the report has room for the newest {kept:,} of {counted(several, 'run')}.{of_all}"
    if facts["charts_left_out"]:
        have = "has" if facts["charts_left_out"] == 1 else "have"
        said = f"{counted(facts['charts_left_out'], 'metric')} {have} no chart: "
        said += f"a report has room for {CURVES} curves, in 2 MB."
        hint = " --group NAME draws one for all runs with equal values, and -n and --where choose fewer runs."
        if are_grouped:
            hint = " A --group with fewer values, -n and --where make fewer curves."
        yield said + hint * (several > 1)


def _names(runs: Sequence[Run]) -> str:
    more = len(runs) - _NAMED
    return ", ".join(run.run_name for run in runs[:_NAMED]) + (f" and {counted(more, 'other run')}" if more > 0 else "")
