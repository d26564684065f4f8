"""`refunc merge`: bring the folders of one run together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import click
from rich.text import Text

from refunc.journal.folder import RUN_JSON
from refunc.runs.run import Run
from refunc.values.paths import absolute
from refunc.values.quantities import amount, counted
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.finding import run_argument, the_run
from refunc_commands.cli.options import json_option, store_option
from refunc_commands.cli.screen import print_json, print_lines
from refunc_commands.cli.streams import shown
from refunc_commands.upkeep.merging import Merged, merge, remove_merged
from refunc_commands.upkeep.space import KeptError

_EXAMPLES = """\b
Examples:
  refunc merge experiments/vision_k3f9a2b7 /mnt/node2/experiments/vision_k3f9a2b7
  refunc merge node*/experiments/vision_k3f9a2b7 --into experiments/vision_k3f9a2b7
  refunc merge copied/vision_k3f9a2b7 experiments/vision_k3f9a2b7 --dry-run"""


@attrs.define
class _Done:
    merged: Merged
    run: Run | None
    removed: list[Path] = attrs.Factory(list)
    kept: list[str] = attrs.Factory(list)


@click.command("merge", epilog=_EXAMPLES)
@run_argument(nargs=-1, required=True)
@click.option("--into", metavar="FOLDER", help="The folder to merge into, by default the first RUN; it may be new.")
@click.option("--running", is_flag=True, help="Also if processes may still write to a folder: its files so far.")
@click.option("--delete", is_flag=True, help="Remove the other folders when all of them is in the one.")
@click.option("--dry-run", is_flag=True, help="Only show what would be copied.")
@json_option()
@store_option
@click.pass_context
def merge_command(
    ctx: click.Context,
    /,
    runs: tuple[str, ...],
    into: str | None,
    running: bool,
    delete: bool,
    dry_run: bool,
    as_json: bool,
    store: str | None,
) -> None:
    """
    Bring the folders of one run together, if its ranks had no common file system and each host wrote a folder.

    Copy the folders to one machine first. RUN is best a folder: they have the same id, and for an id the newest of them
    is taken. Records, ranks, artifacts and the state of delivery go into the first RUN, or into --into, and the run
    then reads as if all ranks had written there. The others stay, unless --delete is given.

    A folder that may be running is refused, and so are folders of different runs, or with files that contradict each
    other. If the command is killed, nothing is lost; run it again to complete the work. Until they are merged, each
    folder is a run of its own to all commands, and `refunc doctor` says which belong together.

    Exit code 1: a folder could not be removed.
    """
    folders = list(dict.fromkeys(the_run(ctx, store, name).folder for name in runs))
    target = absolute(into) if into is not None else folders[0]
    if len({*folders, target}) < 2:
        raise Failure("one folder is nothing to merge. Name another one of the same run, or --into.")
    try:
        merged = merge(folders, target, even_if_open=running, dry_run=dry_run)
    except KeptError as error:
        raise Failure(f"{error}.") from error
    done = _Done(merged, Run.open(target) if (target / RUN_JSON).exists() else None)
    if delete and not dry_run:
        _remove([folder for folder in folders if not folder.samefile(target)], target, done)
    if as_json:
        print_json(_fields(folders, done, dry_run=dry_run))
    else:
        print_lines(_lines(folders, done, dry_run=dry_run, deletes=delete))
    if done.kept:
        ctx.exit(1)


def _remove(folders: list[Path], target: Path, done: _Done) -> None:
    for folder in folders:
        try:
            remove_merged(folder, target)
        except KeptError as error:
            done.kept.append(str(error))
        except OSError as error:
            done.kept.append(f"{folder}: {error.strerror or error}")
        else:
            done.removed.append(folder)


def _lines(folders: list[Path], done: _Done, *, dry_run: bool, deletes: bool) -> Iterator[Text]:
    count = sum(done.merged.copied.values())
    parts = ", ".join(f"{number:,} of {part}" for part, number in done.merged.copied.items() if number < count)
    files = counted(count, "file") + (f" ({parts})" if parts else "")
    word = "would copy" if dry_run else "copied"
    yield Text(f"{word} {files}, {amount(done.merged.size)}, into {shown(done.merged.target)}")
    if done.run is not None and not dry_run:
        ranks = done.run.ranks
        yield Text(f"its ranks: {len(ranks):,}, its status: {shown(done.run.status)}" if ranks else "it has no ranks")
    for folder in done.removed:
        yield Text(f"removed {shown(folder)}")
    for said in done.kept:
        yield Text(f"kept: {shown(said)}", "yellow")
    others = [folder for folder in folders if folder != done.merged.target]
    if not deletes and not dry_run and others:
        yield Text(f"{counted(len(others), 'other folder')} stayed; --delete removes them", "dim")


def _fields(folders: list[Path], done: _Done, *, dry_run: bool) -> dict[str, Any]:
    return {
        "folder": str(done.merged.target),
        "run_id": done.run.run_id if done.run is not None else None,
        "dry_run": dry_run,
        "merged": [str(folder) for folder in folders],
        "copied": done.merged.copied,
        "size": done.merged.size,
        "removed": [str(folder) for folder in done.removed],
        "kept": done.kept,
    }
