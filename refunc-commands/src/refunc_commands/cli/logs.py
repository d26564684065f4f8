"""`refunc logs` and `refunc tail`: a run's lines as the console showed them; `tail -f` follows a running run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from refunc.journal.kinds import CRASHED, RUNNING
from refunc.journal.record import Record
from refunc.journal.tail import Tail
from refunc.runs.entry_filter import newest
from refunc.runs.errors import RunNotFoundError
from refunc.runs.run import Run
from refunc.values.levels import LEVEL_NAMES, level_number
from refunc.values.quantities import duration
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import the_one
from refunc_commands.cli.failure import Failure, Number
from refunc_commands.cli.finding import complete_metrics, rank_option, refuse_missing
from refunc_commands.cli.line_choice import LineChoice
from refunc_commands.cli.moments import parse_moment
from refunc_commands.cli.options import json_option, store_option
from refunc_commands.cli.streams import error_line

#: Seconds between two reads of a run that is followed.
_INTERVAL = 0.2
_BATCH = 1_000

_LOGS_EXAMPLES = """\b
Examples:
  refunc logs resnet_v1 --level warning
  refunc logs resnet_v1 --around loss --steps 5
  refunc logs k3f9 --grep "out of memory" --since 2h
  refunc logs resnet_v1 --all --json | jq -r .message"""

_TAIL_EXAMPLES = """\b
Examples:
  refunc tail -f resnet_v1
  refunc tail -f --wait resnet_v2
  refunc tail -n 50 resnet_v1
  refunc tail -f resnet_v1 --all --json"""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _level(text: str) -> int:
    try:
        return level_number(int(text) if text.isdecimal() else text)
    except ValueError as error:
        raise click.BadParameter(str(error).removeprefix("level: ")) from error


def _point(text: str) -> str | float:
    if text in ("nan", "min", "max"):
        return text
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a point. Allowed: nan, min, max, or a step.") from None


def _levels(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    names = (name.lower() for name in LEVEL_NAMES.values())
    return [CompletionItem(name) for name in names if name.startswith(incomplete.lower())]


def _line_options(command: _Command) -> _Command:
    """Give *command* the options that select lines and their format."""
    for option in (
        click.option(
            "--level", type=_level, metavar="LEVEL", shell_complete=_levels, help="Only this level and above."
        ),
        click.option("--grep", metavar="TEXT", help="Only lines with TEXT in the message or traceback, ignoring case."),
        rank_option("Only lines of this rank; its workers' lines belong to it.", words=()),
        click.option("--all", "all_kinds", is_flag=True, help="Also metrics, params, tags, artifacts, start and end."),
        json_option("Print one JSON object per line instead."),
    ):
        command = option(command)
    return store_option(command)


@click.command(epilog=_LOGS_EXAMPLES)
@choosing(one=True, without=("count", "since", "until"))
@click.option("-n", "--number", "count", type=Number(1), metavar="N", help="Only the newest N lines.")
@click.option("--since", type=parse_moment, metavar="TIME", help="Only from this time on: 2h (ago), 14:30, 2026-11-23.")
@click.option("--until", type=parse_moment, metavar="TIME", help="Only before this time.")
@click.option(
    "--around",
    metavar="METRIC",
    shell_complete=complete_metrics,
    help="Everything around one point of this metric: its first NaN, or --at.",
)
@click.option("--at", "point", type=_point, metavar="POINT", help="With --around: nan, min, max, or a step (or epoch).")
@click.option("--steps", type=Number(0), metavar="N", help="With --around: this many steps to either side, or 50.")
@_line_options
@click.pass_context
def logs(
    ctx: click.Context,
    /,
    choice: Choice,
    count: int | None,
    since: float | None,
    until: float | None,
    around: str | None,
    point: str | float | None,
    steps: int | None,
    store: str | None,
    **options: Any,
) -> None:
    """
    Print the log lines of a run, oldest first, as its console showed them.

    RUN is an id or the unique beginning of one, a name (the newest run that has it), or the run's folder; without RUN,
    it is the newest run, or the newest that matches. The lines of all processes of the run are merged by time; those of
    ranks other than 0 are marked `[rank 3]`. In a pipe, times are in full.

    With --around loss, it prints what was logged before and after the first NaN of a metric, metrics included.
    """
    if around is None and (point is not None or steps is not None):
        raise Failure("--at and --steps belong to --around METRIC, which names the metric.")
    found = the_one(ctx, store, choice)
    refuse_missing([found], options["rank"])
    lines = LineChoice.of(found, since=since, until=until, **options)
    if around is not None:
        lines.print(newest(reversed(list(lines.around(around, "nan" if point is None else point, steps))), count))
        return
    if count is not None:
        entries = iter(newest(lines.of_records(lines.newest_first()), count))
    else:
        entries = lines.of_records(lines.oldest_first())
    lines.print(entry for _, entry in entries)


@click.command(epilog=_TAIL_EXAMPLES)
@choosing(one=True, without=("count", "since", "until"))
@click.option("-f", "--follow", is_flag=True, help="Continue with new lines until the run ends.")
@click.option("--wait", "waits", is_flag=True, help="Wait for RUN, if it has not begun yet.")
@click.option(
    "-n",
    "--number",
    "count",
    type=Number(0),
    default=10,
    show_default=True,
    metavar="N",
    help="Print the last N lines.",
)
@_line_options
@click.pass_context
def tail(
    ctx: click.Context, /, choice: Choice, follow: bool, waits: bool, count: int, store: str | None, **options: Any
) -> None:
    """
    Print the last log lines of a run; with -f, continue with new ones. Without RUN, it is the newest run.

    A line appears within a second of its call, from any process of the run. When the run ends or its process is gone,
    a line on stderr says so, and the command exits with 0; Ctrl-C exits with 130.
    """
    try:
        found = _awaited(ctx, store, choice) if waits else the_one(ctx, store, choice)
    except KeyboardInterrupt:
        ctx.exit(130)
    if not follow:  # a rank may come late
        refuse_missing([found], options["rank"])
    lines = LineChoice.of(found, **options)
    try:
        tail = Tail.at_end(found.folder) if follow else None
        last = newest(lines.of_records(lines.newest_first()), count)
        if follow or count == 0:
            for _, entry in last:
                lines.show(entry)
        else:
            lines.print(entry for _, entry in last)
        if tail is not None:
            # Records written between the two calls are in both results.
            shown = {(record.writer, record.seq) for record, _ in last}
            for record, entry in lines.of_records(_following(found, tail)):
                if (record.writer, record.seq) not in shown:
                    lines.show(entry)
            if not found.folder.is_dir():
                raise FileNotFoundError(f"the run's folder is gone: {found.folder}")
            error_line(_end_of(found))
    except KeyboardInterrupt:
        ctx.exit(130)


def _awaited(ctx: click.Context, store: str | None, choice: Choice) -> Run:
    """Return the run that *choice* names as soon as there is one."""
    if not choice.names:
        raise Failure("--wait needs the name of the run to wait for, as in `refunc tail -f --wait resnet_v1`.")
    is_told = False
    while True:
        try:
            return the_one(ctx, store, choice)
        except (RunNotFoundError, FileNotFoundError):
            if not is_told:
                error_line(f"waiting for a run {choice.names[0]}; Ctrl-C ends that")
                is_told = True
        time.sleep(_INTERVAL)


def _following(run: Run, tail: Tail) -> Iterator[Record]:
    """Yield the records after *tail* as they are written, until the run is over and all are read."""
    is_over = False
    while True:
        found = tail.read(_BATCH)
        yield from found
        if len(found) == _BATCH:
            continue
        if is_over:
            return
        # Checked before the next read, which then has all records from before the end.
        is_over = run.status != RUNNING or not run.folder.is_dir()
        if not is_over:
            time.sleep(_INTERVAL)


def _end_of(run: Run) -> str:
    glance = run.glance()
    if glance.status == CRASHED:
        return "the run crashed: its process is gone, and no end was recorded"
    took = f" after {duration(glance.duration)}" if glance.duration is not None else ""
    return f"the run ended: {glance.status}{took}"
