"""`refunc gc --fold`: find runs with files that can be joined, ask, and report the result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import click
from rich.text import Text

from refunc.runs.errors import RunFormatError
from refunc.runs.store import Store
from refunc.runs.unreadable import containing
from refunc.values.quantities import amount, counted
from refunc_commands.cli.confirming import confirm
from refunc_commands.cli.screen import print_json, print_lines
from refunc_commands.cli.streams import shown
from refunc_commands.upkeep.folding import Plan, fold, is_worth_folding
from refunc_commands.upkeep.space import KeptError, Piece


@attrs.define
class _Folds:
    folded: list[tuple[Piece, Plan]] = attrs.Factory(list)
    kept: list[tuple[Piece, str]] = attrs.Factory(list)
    failed: list[tuple[Piece, str]] = attrs.Factory(list)


def fold_runs(
    ctx: click.Context, store: Store, pieces: list[Piece], *, dry_run: bool, yes: bool, as_json: bool
) -> bool:
    """Fold the runs *pieces*, print the result, and return whether anything failed."""
    plans = _folded(pieces, dry_run=True)
    done = plans
    if not dry_run:
        chosen = [piece for piece, _ in plans.folded]
        if chosen and not yes:
            _ask(ctx, plans, as_json)
        done = _folded(chosen, dry_run=False)
        done.kept = [*plans.kept, *done.kept]
        done.failed = [*plans.failed, *done.failed]
    if as_json:
        print_json(_fields(store, done, dry_run))
    else:
        print_lines(_lines(done, dry_run))
    return bool(done.failed)


def _folded(pieces: list[Piece], *, dry_run: bool) -> _Folds:
    done = _Folds()
    for piece in pieces:
        try:
            with containing(piece.path):
                if not is_worth_folding(piece.path):
                    continue
                plan = _planned(piece, dry_run)
        except RunFormatError as error:
            done.failed.append((piece, str(error.__cause__ or error)))
            continue
        if isinstance(plan, str):
            done.kept.append((piece, plan))
            continue
        if plan.joined:
            done.folded.append((piece, plan))
        done.kept += [(piece, f"{counted(count, 'file')}: {reason}") for reason, count in plan.left.items()]
    return done


def _planned(piece: Piece, dry_run: bool) -> Plan | str:
    """Return the plan of folding the run, or the reason why it is left alone."""
    try:
        return fold(piece.path, dry_run=dry_run)
    except KeptError as error:
        return str(error)


def _ask(ctx: click.Context, plans: _Folds, as_json: bool) -> None:
    lines = (f"{counted(plan.joined, 'file')}  {piece.path.name}  {amount(plan.size)}" for piece, plan in plans.folded)
    joined = counted(sum(plan.joined for _, plan in plans.folded), "file")
    confirm(ctx, f"Join {joined} of {counted(len(plans.folded), 'run')}?", lines, as_json=as_json)


def _lines(done: _Folds, dry_run: bool) -> Iterator[Text]:
    word, style = ("would fold", "") if dry_run else ("folded", "green")
    for piece, plan in done.folded:
        yield Text.assemble((word, style), f"  {counted(plan.joined, 'file'):>12}  {shown(piece.path.name)}")
    for mark, several, style in (("kept", done.kept, "yellow"), ("failed", done.failed, "red")):
        for piece, reason in several:
            yield Text.assemble((f"{mark:<6}", style), f"  {shown(piece.path.name)}  {shown(reason)}")
    if not (done.folded or done.failed):
        yield Text("nothing to fold")


def _fields(store: Store, done: _Folds, dry_run: bool) -> dict[str, Any]:
    return {
        "store": str(store.path),
        "dry_run": dry_run,
        "folded": [{**_piece(piece), "files": plan.joined, "size": plan.size} for piece, plan in done.folded],
        "kept": [{**_piece(piece), "reason": reason} for piece, reason in done.kept],
        "failed": [{**_piece(piece), "reason": reason} for piece, reason in done.failed],
    }


def _piece(piece: Piece) -> dict[str, Any]:
    assert piece.run is not None  # only runs are folded
    return {"path": str(piece.path), "run_id": piece.run.run_id, "status": piece.status}
