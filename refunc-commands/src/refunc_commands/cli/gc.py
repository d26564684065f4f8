"""`refunc gc`: show the space that a store uses, and remove runs and drafts."""

from __future__ import annotations

import time
from pathlib import Path

import attrs
import click
from click.shell_completion import CompletionItem

from refunc.journal.kinds import RUNNING
from refunc.runs.store import Store
from refunc.values.moments import moment_text
from refunc.values.quantities import amount
from refunc_commands.cli.choosing import Choice, choosing
from refunc_commands.cli.chosen import answered
from refunc_commands.cli.confirming import confirm
from refunc_commands.cli.failure import Failure
from refunc_commands.cli.finding import the_store
from refunc_commands.cli.folding import fold_runs
from refunc_commands.cli.moments import age
from refunc_commands.cli.options import json_option, store_option
from refunc_commands.cli.screen import STATUS_STYLES, print_json, print_lines
from refunc_commands.cli.space import Done, both_counted, is_due, space_fields, space_lines
from refunc_commands.cli.streams import error_line, left_out
from refunc_commands.upkeep.space import KeptError, Piece, Space, remove_draft, remove_run, survey

_EXAMPLES = """\b
Examples:
  refunc gc
  refunc gc --status crashed --older-than 30d
  refunc gc --status crashed --older-than 30d --delete
  refunc gc --removed --delete
  refunc gc --drafts --delete --yes --json
  refunc gc --fold --dry-run
  refunc gc --fold --older-than 7d --yes"""


def _statuses(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in STATUS_STYLES if word != RUNNING and word.startswith(incomplete)]


@click.command(epilog=_EXAMPLES)
@choosing()
@click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="STATUS",
    shell_complete=_statuses,
    help="Runs with this status: crashed, failed, …; repeatable.",
)
@click.option("--older-than", type=age, metavar="AGE", help="Runs that started longer ago than this: 12h, 30d, 8w.")
@click.option("--removed", is_flag=True, help="Runs that `refunc rm` marked more than 30 days ago.")
@click.option("--drafts", is_flag=True, help="Files left by interrupted imports, exports, copies and removals.")
@click.option("--index", is_flag=True, help="The index, a cache of the runs; it is rebuilt when needed.")
@click.option("--undelivered", is_flag=True, help="Also remove runs that are not completely delivered.")
@click.option("--fold", is_flag=True, help="Join the files that ended processes have left in a run.")
@click.option("--delete", is_flag=True, help="Remove the selection. Without it nothing is removed.")
@click.option("--dry-run", is_flag=True, help="Only show what --delete or --fold would do.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option()
@store_option
@click.pass_context
def gc(
    ctx: click.Context,
    /,
    choice: Choice,
    statuses: tuple[str, ...],
    older_than: float | None,
    removed: bool,
    drafts: bool,
    index: bool,
    undelivered: bool,
    fold: bool,
    delete: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    store: str | None,
) -> None:
    """
    Show the space that the store uses; with --delete, remove the runs or drafts that the options select.

    With --fold, join the many small files of runs that had many processes. A folded run reads as before and has only
    a few files. All runs are folded, or those that the options select, except runs that may be running or are being
    delivered.

    A run is selected if it matches all given options that choose runs, and is one of RUN… if there are any. A running
    run is never removed, a run that is not completely delivered only with --undelivered, and one that `refunc rm` has
    marked only with --removed, 30 days later. Outside the store, only its index in the cache and drafts in the current
    folder are removed. On a terminal, you are asked first.

    Exit code 1: something that was selected could not be removed.
    """
    selects = bool(choice) or bool(statuses) or older_than is not None or removed
    _refuse_contradictions(selects=selects, drafts=drafts, index=index, fold=fold, delete=delete)
    opened = the_store(ctx, store)
    space = survey(opened, Path.cwd())
    if not choice.allow_missing:
        _refuse_unknown(statuses, space)
    wanted = _Wanted.of(ctx, store, choice, statuses, older_than, removed)
    if fold:
        several = [piece for piece in space.runs if wanted.has(piece)]
        failed = fold_runs(ctx, opened, several, dry_run=dry_run, yes=yes, as_json=as_json)
        left_out(space.unreadable)
        ctx.exit(1 if failed else 0)
    delete = delete and not dry_run
    chosen = wanted.removable(space.runs) if selects else []
    leftovers = [*(space.drafts if drafts else ()), *(space.index if index else ())]
    done = Done()
    if delete and (chosen or leftovers):
        if not yes:
            _ask(ctx, chosen, leftovers, as_json)
        _remove(chosen, leftovers, opened, done, undelivered=undelivered)
    if as_json:
        print_json(space_fields(opened, space, chosen, leftovers, done))
    else:
        print_lines(space_lines(space, chosen, leftovers, done, delete=delete, chooses=selects or drafts or index))
        if removed and delete:
            _tell_kept(space)
    left_out(space.unreadable)
    if done.failed:
        ctx.exit(1)


def _tell_kept(space: Space) -> None:
    """Print on stderr how many removed runs are not old enough, and when the first is."""
    waiting = [piece.due for piece in space.runs if piece.due is not None and not is_due(piece)]
    if waiting:
        several = len(waiting) > 1
        stay = f"{len(waiting):,} removed runs stay" if several else "1 removed run stays"
        first = f"{'the first' if several else 'it'} can be deleted from {moment_text(min(waiting))} on"
        error_line(f"{stay} for 30 days after `refunc rm`; {first}.")


@attrs.frozen
class _Wanted:
    """Which runs the options select; without any of them, every run."""

    #: None if all may be.
    folders: frozenset[Path] | None
    statuses: tuple[str, ...]
    older_than: float | None
    removed: bool

    @classmethod
    def of(
        cls,
        ctx: click.Context,
        store: str | None,
        choice: Choice,
        statuses: tuple[str, ...],
        older_than: float | None,
        removed: bool,
    ) -> _Wanted:
        found = answered(ctx, store, choice, removed=removed).runs if choice else None
        folders = frozenset(run.folder for run, _ in found) if found is not None else None
        return cls(folders, statuses, older_than, removed)

    def removable(self, pieces: list[Piece]) -> list[Piece]:
        """Return those of *pieces* that are selected, without runs that may be running."""
        return [piece for piece in pieces if piece.status != RUNNING and self.has(piece)]

    def has(self, piece: Piece) -> bool:
        assert piece.run is not None
        return (
            (is_due(piece) if self.removed else piece.due is None)
            and (self.folders is None or piece.run.folder in self.folders)
            and (not self.statuses or piece.status in self.statuses)
            and (self.older_than is None or time.time() - piece.time > self.older_than)
        )


def _refuse_unknown(statuses: tuple[str, ...], space: Space) -> None:
    """Refuse a status that no run has and that refunc does not know. Raises Failure."""
    from refunc.runs.expression.asked import unknown_status

    for status in statuses:
        problem = unknown_status(status, [piece.status for piece in space.runs])
        if problem is not None:
            raise Failure(problem)


def _refuse_contradictions(*, selects: bool, drafts: bool, index: bool, fold: bool, delete: bool) -> None:
    if fold and (delete or drafts or index):
        raise Failure(
            "--fold joins files, and --delete, --drafts and --index remove them. Give --fold without these options."
        )
    if delete and not (selects or drafts or index):
        raise Failure(
            "--delete needs a selection. Name runs, or add --where, --status, --older-than, --experiment, --removed, "
            "--drafts or --index."
        )


def _ask(ctx: click.Context, chosen: list[Piece], leftovers: list[Piece], as_json: bool) -> None:
    size = amount(sum(piece.size for piece in (*chosen, *leftovers)))
    lines = (f"{piece.status}  {piece.path.name}  {amount(piece.size)}" for piece in chosen)
    confirm(ctx, f"Remove {both_counted(chosen, leftovers)}, {size}?", lines, as_json=as_json)


def _remove(chosen: list[Piece], leftovers: list[Piece], store: Store, done: Done, *, undelivered: bool) -> None:
    for piece in (*chosen, *leftovers):
        try:
            if piece.run is not None:
                remove_run(piece, store, undelivered=undelivered)
            else:
                remove_draft(piece)
        except KeptError as error:
            done.kept.append((piece, str(error)))
        except OSError as error:
            done.failed.append((piece, error.strerror or str(error)))
        else:
            done.removed.append(piece)
