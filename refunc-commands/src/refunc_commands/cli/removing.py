"""`refunc rm` and `refunc restore`: marking runs as removed, and taking that back."""

from __future__ import annotations

import click

from refunc.annotations import remove, restore
from refunc.journal.kinds import RUNNING
from refunc.runs.run import Run
from refunc_commands.cli.annotating import change_each
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import answered, chosen
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.finding import named, the_run, the_store
from refunc_commands.cli.options import json_option, store_option
from refunc_commands.cli.streams import error_line

_RM_EXAMPLES = """\b
Examples:
  refunc rm dummy_1 dummy_2
  refunc rm --where "run_name ~ 'dummy*'"
  refunc ls --removed"""

_RESTORE_EXAMPLES = """\b
Examples:
  refunc restore k3f9
  refunc restore dummy_1 dummy_2"""


@click.command("rm", epilog=_RM_EXAMPLES)
@choosing()
@json_option("Print one JSON array of the runs instead.")
@store_option
@click.pass_context
def rm_command(ctx: click.Context, choice: Choice, as_json: bool, store: str | None) -> None:
    """
    Mark runs as removed: lists, searches and tables leave them out.

    Nothing is deleted, and `refunc restore` takes it back. `refunc gc --removed --delete` frees the space of runs that
    were marked more than 30 days ago. A run that is running goes on.

    Exit code 1: a run could not be marked.
    """
    found = chosen(ctx, store, _needed(choice)).runs
    for run in found:
        if run.status == RUNNING:
            error_line(f"{named(run)} is running, and goes on.")
    done = "removed {}; `refunc restore {}` takes it back"
    change_each(ctx, found, remove, lambda run: done.format(named(run), run.run_id), as_json)


@click.command("restore", epilog=_RESTORE_EXAMPLES)
@choosing(removed=True)
@json_option("Print one JSON array of the runs instead.")
@store_option
@click.pass_context
def restore_command(ctx: click.Context, choice: Choice, as_json: bool, store: str | None) -> None:
    """
    Take `refunc rm` back: the runs are listed again.

    RUN is an id or its beginning, a name, or a folder; of several removed runs with one name, the newest is restored.

    Exit code 1: a run could not be changed.
    """
    if _needed(choice).names:
        if choice.searches:
            raise Failure("name the runs, or choose them by options, and not both.")
        found = list({run.folder: run for run in (_removed(ctx, store, name) for name in choice.names)}.values())
    else:
        found = [run for run, _ in answered(ctx, store, choice, removed=True).runs]
        if not found:
            raise Failure(choice.nothing_in(the_store(ctx, store), removed=True))
    change_each(ctx, found, restore, lambda run: f"restored {named(run)}", as_json)


def _needed(choice: Choice) -> Choice:
    """Return *choice*, unless it chooses nothing: then all runs would be meant. Raises Failure."""
    if not choice:
        raise Failure("no run is given. Name runs, or choose them by --where and the like.")
    return choice


def _removed(ctx: click.Context, store: str | None, name: str) -> Run:
    """Return the removed run *name*, else any run of that name."""
    try:
        removed = [run for run in the_store(ctx, store).listing().removed if run.run_name == name]
    except OSError:  # without a store, it is the path of a folder
        removed = []
    return removed[-1] if removed else the_run(ctx, store, name)
