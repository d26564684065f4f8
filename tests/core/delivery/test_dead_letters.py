"""Records that a backend does not take at all: they are found, kept, and tried again on request."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.delivery import dead_letters
from refunc.delivery.custody import load_cursor
from refunc.delivery.dead_letters import DeadLetters
from refunc.delivery.waiting import health_at
from refunc.journal.codec import decode_line
from refunc.logging.active.run import ActiveRun
from refunc.outlets.replaced import Draft
from refunc.plugins import Reject, Retry


@pytest.mark.parametrize("error", [Reject("never"), ValueError("odd"), SystemExit(1)])
def test_a_poison_record_is_found_and_buried_alone(
    error: BaseException, logged: Callable[..., ActiveRun], fake: Any
) -> None:
    run = logged(*range(1000))
    fake.fails = lambda hook, what: (
        error if hook == "metrics" and any(record.metrics["n"] == 613 for record in what) else None
    )
    subscription = fake.subscribe(run)

    fake.deliver(subscription)

    assert fake.metrics == [number for number in range(1000) if number != 613]
    assert subscription.cursor.dead == 1
    [line] = (run.folder / "delivery" / f"{fake.KEY}.dead.jsonl").read_bytes().splitlines()
    letter = decode_line(line)
    assert letter is not None
    assert (letter["hook"], letter["metrics"]) == ("on_metrics", {"n": 613})
    assert str(error) in letter["error"]
    assert fake.hooks().count("metrics") <= 26


def test_one_that_fails_at_everything_is_left_alone_and_nothing_more_is_buried(
    logged: Callable[..., ActiveRun], fake: Any
) -> None:
    run = logged(*range(100))
    fake.fails = lambda hook, what: ZeroDivisionError() if hook == "metrics" else None
    subscription = fake.subscribe(run)

    fake.deliver(subscription)

    assert subscription.is_abandoned
    health = health_at(load_cursor(run.folder, fake.KEY, "fake"))
    assert health.state == "quarantined"
    assert (health.dead, list(run.folder.glob("delivery/*.dead.jsonl"))) == (0, [])
    assert health.waiting == 101  # a later `refunc sync` begins the window again


def test_a_dead_letter_is_written_with_its_window_and_once(logged: Callable[..., ActiveRun], fake: Any) -> None:
    """All of a window that is not finished is delivered again, refused records as well: they may be taken then."""
    run = logged(0, 1)
    fake.fails = lambda hook, what: Reject("no") if hook == "metrics" else Retry("down") if hook == "log" else None
    first = fake.subscribe(run)
    fake.deliver(first, seconds=0.3)
    first.close()
    assert (first.cursor.dead, list(run.folder.glob("delivery/*.dead.jsonl"))) == (0, [])

    fake.fails = lambda hook, what: Reject("no") if hook == "metrics" and any(r.metrics["n"] for r in what) else None
    fake.deliver(fake.subscribe(run))

    [line] = (run.folder / "delivery" / f"{fake.KEY}.dead.jsonl").read_bytes().splitlines()
    assert fake.metrics == [0]
    assert json.loads(line)["metrics"] == {"n": 1}


def test_an_end_that_is_tried_again_is_told_once(logged: Callable[..., ActiveRun], fake: Any) -> None:
    """It was refused, and is busy at the first try that follows: the run has still one end."""
    run = logged(0)
    run.end("completed")
    fake.fails = lambda hook, what: Reject("no") if hook == "end" else None
    first = fake.subscribe(run)
    fake.deliver(first)
    first.close()
    busy = iter([Retry("busy")])
    fake.fails = lambda hook, what: next(busy, None)
    fake.calls.clear()

    subscription = fake.subscribe(run, revives=True)
    fake.deliver(subscription)

    assert [(hook, what.status) for hook, what in fake.calls] == [("end", "completed"), ("end", "completed")]
    assert subscription.is_done
    assert list(run.folder.glob("delivery/*.dead.jsonl")) == []


def test_a_dead_letter_that_cannot_leave_its_file_stays_there_once(
    logged: Callable[..., ActiveRun], fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing may be sent twice it leaves before it is sent; on a full disk it does neither."""
    run = logged(0)
    fake.fails = lambda hook, what: Reject("no") if hook == "metrics" else None
    first = fake.subscribe(run)
    fake.deliver(first, "at-most-once")
    first.close()
    [path] = run.folder.glob("delivery/*.dead.jsonl")
    letter = path.read_bytes()
    fake.fails = lambda hook, what: None

    with monkeypatch.context() as patch:
        patch.setattr(dead_letters, "Draft", _full)
        fake.deliver(fake.subscribe(run, revives=True), "at-most-once", seconds=0.1)

    assert path.read_bytes() == letter
    assert fake.metrics == []


def _full(path: Path) -> Draft:
    """Be a draft on a disk that takes no new file."""
    raise OSError(28, "No space left on device", path)


def _buried(logged: Callable[..., ActiveRun], fake: Any, count: int, mode: str = "at-least-once") -> tuple[Any, Path]:
    """Return a run of which so many records were refused, and the file that has them."""
    run = logged(*range(count))
    fake.fails = lambda hook, what: Reject("no") if hook == "metrics" else None
    first = fake.subscribe(run)
    fake.deliver(first, mode)
    first.close()
    fake.fails = lambda hook, what: None
    [path] = run.folder.glob("delivery/*.dead.jsonl")
    return run, path


@pytest.mark.parametrize("mode", ["at-least-once", "at-most-once"])
def test_a_dead_letter_that_somebody_deleted_while_it_was_sent_is_sent_once(
    mode: str, logged: Callable[..., ActiveRun], fake: Any
) -> None:
    run, path = _buried(logged, fake, 3, mode)

    def delete(hook: str, what: Any) -> None:
        if path.exists():
            path.unlink()

    fake.fails = delete
    subscription = fake.subscribe(run, revives=True)
    fake.deliver(subscription, mode)

    assert fake.metrics == [0, 1, 2]
    assert (subscription.revives, subscription.cursor.dead, path.exists()) == (False, 0, False)


@pytest.mark.parametrize("mode", ["at-least-once", "at-most-once"])
def test_letters_that_are_refused_again_stay_and_are_counted(
    mode: str, logged: Callable[..., ActiveRun], fake: Any
) -> None:
    run, path = _buried(logged, fake, 6, mode)
    fake.fails = lambda hook, what: Reject("odd") if hook == "metrics" and what[0].metrics["n"] % 2 else None
    subscription = fake.subscribe(run, revives=True)

    fake.deliver(subscription, mode)

    letters = [decode_line(line) or {} for line in path.read_bytes().splitlines()]
    assert sorted(letter["metrics"]["n"] for letter in letters) == [1, 3, 5]
    assert (fake.metrics, subscription.cursor.dead) == ([0, 2, 4], 3)


def test_a_file_of_many_letters_is_written_a_few_times_only(
    logged: Callable[..., ActiveRun], fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, path = _buried(logged, fake, 300)
    reads: list[int] = []
    lines = DeadLetters.lines

    def counted(letters: DeadLetters) -> list[bytes]:
        found = lines(letters)
        reads.append(len(found))
        return found

    monkeypatch.setattr(DeadLetters, "lines", counted)
    monkeypatch.setattr("refunc.delivery.dead_letters.REMOVE_EVERY", 60.0)
    subscription = fake.subscribe(run, revives=True)
    fake.deliver(subscription)

    assert (fake.metrics, path.exists(), subscription.cursor.dead) == (list(range(300)), False, 0)
    assert sum(reads) <= 5 * 300


def test_what_was_delivered_before_the_end_is_not_delivered_by_the_next(
    logged: Callable[..., ActiveRun], fake: Any
) -> None:
    run, _ = _buried(logged, fake, 10)
    first = fake.subscribe(run, revives=True)
    fake.fails = lambda hook, what: Retry("down") if hook == "metrics" and what[0].metrics["n"] >= 5 else None
    fake.deliver(first, seconds=0.5)
    first.close()
    fake.fails = lambda hook, what: None

    fake.deliver(fake.subscribe(run, revives=True))

    assert fake.metrics == list(range(10))


def test_a_delivered_letter_that_cannot_leave_its_file_is_delivered_once(
    logged: Callable[..., ActiveRun], fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, path = _buried(logged, fake, 3)

    subscription = fake.subscribe(run, revives=True)
    with monkeypatch.context() as patch:
        patch.setattr(dead_letters, "Draft", _full)
        fake.deliver(subscription)
        assert fake.metrics == [0, 1, 2]
    subscription.close()

    assert not path.exists()
