"""`refunc sync`: deliver what runs still have for their integrations."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.text import Text

from refunc.cli.finding import run_argument, store_option, the_run, the_store
from refunc.cli.screen import error_line, left_out, print_json, print_lines, shown, stdout_on_stderr
from refunc.delivery.sync import Target, sync, targets_of
from refunc.journal.file import is_locked
from refunc.journal.folder import RUN_JSON
from refunc.runs.run import RunFormatError
from refunc.runs.store import readable

_EXAMPLES = """\b
Examples:
  refunc sync
  refunc sync resnet_v1 --patience 300
  refunc sync resnet_v1 --dead-letters
  refunc sync --follow --json"""


def _seconds(ctx: click.Context, option: click.Parameter, value: float) -> float:
    if math.isnan(value):  # which no range leaves out, and no moment is behind
        raise click.BadParameter("nan is no number of seconds.")
    return value


@click.command("sync", short_help="Deliver what is left of runs to trackers.", epilog=_EXAMPLES)
@run_argument(nargs=-1, metavar="[RUN]...")
@click.option("--follow", is_flag=True, help="Go on until every run has ended and is delivered.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    callback=_seconds,
    help="Give up what no tracker has taken anything of for so long.",
)
@click.option("--dead-letters", "revives", is_flag=True, help="Try again what a tracker refused for good.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead.")
@store_option
@click.pass_context
def sync_command(
    ctx: click.Context,
    runs: tuple[str, ...],
    follow: bool,
    patience: float,
    revives: bool,
    as_json: bool,
    store: str | None,
) -> None:
    """
    Deliver what is left of runs to their integrations: after an outage, a crash, or on another machine.

    RUN is an id, a name or a folder; without one, it is every run of the store. What a journal does not hold, such as
    a token or a webhook, comes from the environment, by the variables that `refunc plugins` lists. A run that a
    training is delivering right now is left to it.

    Exit code 0: all is delivered. 1: something is left, dead letters included, and the last column says why; or a run
    cannot be read.
    """
    unreadable: list[RunFormatError] = []
    if runs:
        found = [the_run(ctx, store, name) for name in runs]
    else:
        found = readable(the_store(ctx, store).runs(unreadable), unreadable)
    targets = [target for folder in dict.fromkeys(run.folder for run in found) for target in targets_of(folder)]
    done = [target for target in targets if target.is_done and not (revives and target.dead_letters)]
    with _deliveries_told():
        settled = sync(
            [target for target in targets if target not in done], patience=patience, follow=follow, revives=revives
        )
    if as_json:
        print_json([_fields(target) for target in (*done, *settled)])
    elif not targets:
        error_line("no run here has an integration.")
    else:
        print_lines(_lines([*(target for target in done if target.dead_letters), *settled], len(targets)))
        if not revives and any(target.dead_letters for target in (*done, *settled)):
            error_line("dead letters remain; `refunc sync --dead-letters` tries them again.")
    left_out(unreadable)
    if unreadable or any(not target.is_done or target.dead_letters for target in (*done, *settled)):
        ctx.exit(1)


class _Told(logging.Handler):
    """Shows what delivery says while it goes on: a line on stderr, without tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the line; where stderr is gone, delivery is not."""
        try:
            error_line(record.getMessage())
        except Exception:  # as stdlib's own handlers do
            self.handleError(record)


@contextmanager
def _deliveries_told() -> Iterator[None]:
    report, handler = logging.getLogger("refunc.delivery"), _Told(logging.WARNING)
    report.addHandler(handler)
    try:
        with stdout_on_stderr():
            yield
    finally:
        report.removeHandler(handler)


def _fields(target: Target) -> dict[str, Any]:
    health = target.health
    return {
        "run": target.folder.name,
        "integration": target.passport.name,
        "target": target.passport.target,
        "is_done": target.is_done,
        "state": "delivered elsewhere" if target.is_taken else health.state,
        "delivered": health.delivered,
        "waiting": health.waiting,
        "dead": health.dead,
        "last_error": health.last_error,
        "dead_letters": str(target.dead_letters) if target.dead_letters else None,
    }


def _lines(settled: list[Target], count: int) -> Iterator[Text]:
    if not settled:
        yield Text(f"nothing to do: {count} deliver{'ies are' if count != 1 else 'y is'} complete")
    for target in settled:
        health = target.health
        if target.is_taken:
            mark, said = Text("busy", "yellow"), "another process delivers it"
        elif target.is_done:
            mark, said = Text("done", "green"), f"{health.delivered:,} records delivered"
        else:
            mark, said = Text("left", "red"), f"{health.waiting:,} records wait ({health.state}): {_reason(target)}"
        if target.dead_letters is not None:
            letters = f"{health.dead:,} dead letter{'s' * (health.dead != 1)} in {os.path.relpath(target.dead_letters)}"
            mark, said = Text("dead", "red") if target.is_done else mark, f"{said}; {letters}"
        yield Text.assemble(mark, f"  {shown(target.folder.name)}  {shown(target.passport.name)}  {shown(said)}")


def _reason(target: Target) -> str:
    if not target.health.waiting and is_locked(target.folder / RUN_JSON):
        return "the run has not ended"
    return target.health.last_error or "no answer in time"
