"""The space of a store, and the runs and files that `refunc gc` removes of it, as lines and as JSON."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import attrs
from rich.text import Text

from refunc.runs.store import Store
from refunc.values.quantities import amount, counted
from refunc_commands.cli.screen import STATUS_STYLES, ago
from refunc_commands.cli.streams import shown
from refunc_commands.upkeep.space import Piece, Space


@attrs.define
class Done:
    removed: list[Piece] = attrs.Factory(list)
    kept: list[tuple[Piece, str]] = attrs.Factory(list)
    failed: list[tuple[Piece, str]] = attrs.Factory(list)


def is_due(piece: Piece) -> bool:
    """Whether the run was marked as removed long enough ago."""
    return piece.due is not None and piece.due <= time.time()


def space_lines(
    space: Space, chosen: list[Piece], leftovers: list[Piece], done: Done, *, delete: bool, chooses: bool
) -> Iterator[Text]:
    if not delete:
        yield from _overview(space)
        for piece in (*chosen, *leftovers):
            yield Text("would remove  ").append_text(_line(piece))
        size = sum(piece.size for piece in (*chosen, *leftovers))
        if chooses and not (chosen or leftovers):
            yield Text("no runs or files match")
        elif chooses:
            yield Text(f"{both_counted(chosen, leftovers)}, {amount(size)}; --delete removes them")
        return
    for piece in done.removed:
        yield Text("removed  ", "green").append_text(_line(piece))
    for mark, several in (("kept", done.kept), ("failed", done.failed)):
        for piece, reason in several:
            yield (
                Text(f"{mark:<7}  ", "yellow" if mark == "kept" else "red")
                .append_text(_line(piece))
                .append(f"  {shown(reason)}")
            )
    if not (chosen or leftovers):
        yield Text("no runs or files match: 0 B freed")
        return
    yield Text(f"{amount(sum(piece.size for piece in done.removed))} freed")


def both_counted(chosen: list[Piece], leftovers: list[Piece]) -> str:
    return f"{counted(len(chosen), 'run')} and {counted(len(leftovers), 'other file')}"


def _overview(space: Space) -> Iterator[Text]:
    sizes: Counter[str] = Counter()
    counts = Counter(piece.status for piece in space.runs)
    for piece in space.runs:
        sizes[piece.status] += piece.size
    for status, size in sizes.most_common():
        word = shown(status)
        yield Text.assemble(
            f"{amount(size):>10}  {counts[status]:>6,} ",
            (word, STATUS_STYLES.get(status, "")),
            " run" if counts[status] == 1 else " runs",
        )
    for noun, where, pieces in (("draft", "", space.drafts), ("file", " of the index, in the cache", space.index)):
        size, ending = sum(piece.size for piece in pieces), "" if len(pieces) == 1 else "s"
        yield Text(f"{amount(size):>10}  {len(pieces):>6,} {noun}{ending}{where}")
    marked = [piece for piece in space.runs if piece.due is not None]
    if marked:
        due = sum(map(is_due, marked))
        when = f"{due:,} of them more than 30 days ago: --removed selects these" if due else "less than 30 days ago"
        size = sum(piece.size for piece in marked)
        yield Text(f"{amount(size):>10}  {counted(len(marked), 'run')} of these marked by `refunc rm`, {when}")
    yield Text(f"{amount(space.total):>10}  in total, {amount(space.artifacts)} of it artifacts", "bold")
    biggest = sorted(space.runs, key=lambda piece: -piece.size)[:5]
    if len(space.runs) > 1:
        yield Text("the biggest:")
        yield from (Text("  ").append_text(_line(piece)) for piece in biggest)


def _line(piece: Piece) -> Text:
    size, since = amount(piece.size), ago(piece.time, time.time())
    status = (f"{shown(piece.status):<11} ", STATUS_STYLES.get(piece.status, "")) if piece.run else "file        "
    return Text.assemble(f"{size:>10}  ", status, f"{since:>10}  {shown(piece.path.name)}")


def space_fields(store: Store, space: Space, chosen: list[Piece], leftovers: list[Piece], done: Done) -> dict[str, Any]:
    return {
        "store": str(store.path),
        "size": space.total,
        "artifacts": space.artifacts,
        "runs": len(space.runs),
        "marked": sum(piece.due is not None for piece in space.runs),
        "drafts": len(space.drafts),
        "index": sum(piece.size for piece in space.index),
        "chosen": [_piece(piece) for piece in (*chosen, *leftovers)],
        "removed": [_piece(piece) for piece in done.removed],
        "kept": [{**_piece(piece), "reason": reason} for piece, reason in done.kept],
        "failed": [{**_piece(piece), "reason": reason} for piece, reason in done.failed],
    }


def _piece(piece: Piece) -> dict[str, Any]:
    run = piece.run
    return {
        "path": str(piece.path),
        "size": piece.size,
        "run_id": run.run_id if run is not None else None,
        "status": piece.status or None,
        "time": piece.time,
    }
