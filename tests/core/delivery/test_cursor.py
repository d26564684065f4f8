"""Where delivery goes on: at the cursor of the last delivery, one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.many_writers import make_run as make_many

from refunc.delivery.cursor import cursor_path
from refunc.delivery.custody import load_cursor
from refunc.delivery.waiting import health_at, is_done_at
from refunc.journal.codec import decode_line, encode_line, seal
from refunc.journal.tail import Position
from refunc.logging.active.run import ActiveRun


def test_delivery_goes_on_at_the_cursor(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(0, 1)
    first = fake.subscribe(run)
    fake.deliver(first)
    first.close()
    logged(2, run=run)

    fake.deliver(fake.subscribe(run))

    assert fake.metrics == [0, 1, 2]
    assert fake.hooks().count("start") == 1


DAMAGES = [
    *(b"", b"{", b"[]", b'{"format": 99}', b'{"format": 1, "positions": {"w": [1]}}'),
    b'{"format": 1, "positions": {"w": ["0", 0, 0, [], ""]}}',
    b'{"format": 1, "positions": {}, "delivered": "1"}',
    b'{"format": 1, "positions": {}, "params": []}',
    seal(b'{"format":99}'),
    seal(b'{"format":1,"positions":{"w":["0",0,0,[],""]}}'),
    seal(b'{"format":2,"positions":{"w":[0,0,0]}}'),
    seal(b'{"format":2,"positions":{"w":[0,0,"",0]}}'),
    seal(b'{"format":2,"positions":{"w":[0,0,"",0,"1"]}}'),
    seal(b'{"format":1,"positions":{},"delivered":"1"}'),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_cursor_that_cannot_be_read_means_from_the_start(
    damage: bytes, logged: Callable[..., ActiveRun], fake: Any
) -> None:
    run = logged(0, 1)
    first = fake.subscribe(run)
    fake.deliver(first)
    first.close()
    cursor_path(run.folder, fake.KEY).write_bytes(damage)

    fake.deliver(fake.subscribe(run))

    assert fake.metrics == [0, 1, 0, 1]


def test_a_cursor_of_format_1_means_what_it_meant(logged: Callable[..., ActiveRun], fake: Any) -> None:
    """Its positions had the next number, and the numbers that were missing before it."""
    run = logged(*range(6))
    first = fake.subscribe(run)
    fake.deliver(first)
    first.close()
    path = cursor_path(run.folder, fake.KEY)
    saved = decode_line(path.read_bytes().removesuffix(b"\n"))
    assert saved is not None
    [(writer, (segment, offset, logger, *met))] = saved["positions"].items()
    assert met == [0, 7]
    saved.update(format=1, positions={writer: [segment, 0, 7, [2, 3], logger]})
    path.write_bytes(encode_line(saved))

    loaded = load_cursor(run.folder, fake.KEY, "fake")
    assert loaded.positions[writer] == Position(segment, 0, ((0, 2), (4, 7)), logger)
    fake.deliver(fake.subscribe(run))

    assert fake.metrics == [*range(6), 1, 2]  # records 2 and 3
    assert offset > 0


def test_live_delivery_begins_anew(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(0)
    first = fake.subscribe(run, keeps=False)
    fake.deliver(first)
    first.close()

    fake.deliver(fake.subscribe(run, keeps=False))

    assert fake.metrics == [0, 0]


def test_at_most_once_moves_the_cursor_first(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(0)
    seen: list[int] = []
    fake.fails = lambda hook, what: seen.append(health_at(load_cursor(run.folder, fake.KEY, "fake")).waiting)  # type: ignore[func-returns-value]

    fake.deliver(fake.subscribe(run), "at-most-once")

    assert seen == [0] * len(fake.calls)


def test_at_most_once_holds_for_the_end_as_well(logged: Callable[..., ActiveRun], fake: Any) -> None:
    """The process dies while the end's message is under way: no message is sent again."""
    run = logged(0)
    run.end("completed")
    at_the_end: list[bool] = []

    def note(hook: str, what: Any) -> None:
        if hook == "end":
            at_the_end.append(is_done_at(load_cursor(run.folder, fake.KEY, "fake")))

    fake.fails = note

    fake.deliver(fake.subscribe(run), "at-most-once")

    assert at_the_end == [True]


def test_only_one_process_delivers_a_run(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(0)
    first, second = fake.subscribe(run), fake.subscribe(run)
    assert first.wants()

    assert not second.wants()
    fake.deliver(first)
    first.close()
    logged(1, run=run)
    assert not second.is_done
    fake.deliver(second)

    assert fake.metrics == [0, 1]  # it goes on where the first one stopped, not where it stood itself


def test_one_whose_turn_never_came_leaves_the_cursor_alone(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(0)
    first, second = fake.subscribe(run), fake.subscribe(run)
    fake.deliver(first)
    first.close()

    second.close()

    assert health_at(load_cursor(run.folder, fake.KEY, "fake")).waiting == 0


@pytest.mark.extras
def test_delivery_that_is_half_way_goes_on_when_the_run_is_folded(own_folder: Path, fake: Any) -> None:
    """Each record is delivered once: where a position is says a segment, wherever that lies."""
    from refunc_commands.upkeep.folding import fold

    folder = make_many(own_folder / "experiments" / "20261128-120000_many_aaaaaaaa", 6)
    run: Any = SimpleNamespace(folder=folder)

    def delivered() -> int:
        return sum(len(records) for hook, records in fake.calls if hook == "metrics")

    later = own_folder / "later"
    later.mkdir()
    for path in sorted((folder / "journal").iterdir())[3:]:
        path.rename(later / path.name)
    first = fake.subscribe(run)
    fake.deliver(first)
    first.close()
    assert delivered() == 6
    for path in later.iterdir():
        path.rename(folder / "journal" / path.name)

    assert fold(folder).joined == 6
    fake.deliver(fake.subscribe(run))

    assert delivered() == 12
