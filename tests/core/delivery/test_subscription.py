"""One run for one integration, without threads: windows, retries, dead letters, the cursor."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.delivery import subscription as module
from refunc.delivery.cursor import Cursor, cursor_path
from refunc.delivery.subscription import Backend, Subscription
from refunc.journal import kinds
from refunc.journal.codec import decode_line, encode_line, seal
from refunc.journal.rows import MetricsRow
from refunc.journal.tail import Position
from refunc.logging.run import ActiveRun
from refunc.plugins import Pause, Reject, Retry, hookimpl
from refunc.plugins.hooks import hooks_of, plugged

KEY = "fake-00000000"


class Fake:
    """A backend at its outer edge: remembers, and raises what the test says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.metrics: list[int] = []
        self.fails: Callable[[str, Any], BaseException | None] = lambda hook, what: None

    def take(self, hook: str, what: Any) -> None:
        self.calls.append((hook, what))
        error = self.fails(hook, what)
        if error is not None:
            raise error

    @hookimpl
    def on_run_start(self, run: Any) -> None:
        self.take("start", run)

    @hookimpl
    def on_hyperparams(self, run: Any, record: Any) -> None:
        self.take("params", record)

    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        self.take("metrics", records)
        self.metrics += [record.metrics["n"] for record in records if "n" in record.metrics]

    @hookimpl
    def on_log(self, run: Any, records: Any) -> None:
        self.take("log", records)

    @hookimpl
    def on_run_end(self, run: Any, record: Any) -> None:
        self.take("end", record)

    def hooks(self) -> list[str]:
        return [hook for hook, _ in self.calls]


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(module, "LAST_DELAY", 0.002)


def put(run: ActiveRun, *numbers: int) -> None:
    for number in numbers:
        run.put("log", {"level": "METRIC", "message": "m", "metrics": {"n": number}, "step": number})
    run.writer.flush()


def deliver(subscription: Subscription, fake: Fake, kind: str = "at-least-once", seconds: float = 5.0) -> None:
    """Advance until there is nothing more to do; a pending retry is waited for."""
    backend = Backend(plugged(fake), hooks_of(Fake), kind)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        is_pending = time.monotonic() < subscription.retry_at < deadline  # asked first: it may come due meanwhile
        if subscription.wants():
            subscription.advance(backend)
        elif is_pending:
            time.sleep(0.001)
        else:
            return


def subscribe(run: ActiveRun, **options: Any) -> Subscription:
    return Subscription(run.folder, KEY, "fake", **options)


def test_a_run_is_delivered_from_start_to_end(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    run.put_through("params", {"params": {"lr": 0.1}})
    put(run, *range(5))
    subscription = subscribe(run)
    deliver(subscription, fake)
    assert not subscription.is_done
    run.end("failed", error="Traceback…")

    deliver(subscription, fake)

    assert fake.hooks() == ["start", "params", "metrics", "log", "end"]
    assert fake.metrics == [0, 1, 2, 3, 4]
    start, end = fake.calls[0][1], fake.calls[-1][1]
    assert (start.run_name, start.params) == ("made", {"lr": 0.1})
    assert (end.status, end.error) == ("failed", "Traceback…")
    assert subscription.is_done
    assert subscription.cursor.health().waiting == 0


def test_a_window_has_a_thousand_records_at_most(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, *range(2500))

    deliver(subscribe(run), fake)

    assert fake.metrics == list(range(2500))
    assert [len(what) for hook, what in fake.calls if hook == "metrics"] == [999, 1000, 501]


def test_delivery_goes_on_at_the_cursor(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, 0, 1)
    first = subscribe(run)
    deliver(first, fake)
    first.close()
    put(run, 2)

    deliver(subscribe(run), fake)

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
    damage: bytes, make_run: Callable[..., ActiveRun], fake: Fake
) -> None:
    run = make_run()
    put(run, 0, 1)
    first = subscribe(run)
    deliver(first, fake)
    first.close()
    cursor_path(run.folder, KEY).write_bytes(damage)

    deliver(subscribe(run), fake)

    assert fake.metrics == [0, 1, 0, 1]


def test_a_cursor_of_format_1_means_what_it_meant(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    """Its positions had the next number, and the numbers that were missing before it."""
    run = make_run()
    put(run, *range(6))
    first = subscribe(run)
    deliver(first, fake)
    first.close()
    path = cursor_path(run.folder, KEY)
    saved = decode_line(path.read_bytes().removesuffix(b"\n"))
    assert saved is not None
    [(writer, (segment, offset, logger, *met))] = saved["positions"].items()
    assert met == [0, 7]
    saved.update(format=1, positions={writer: [segment, 0, 7, [2, 3], logger]})
    path.write_bytes(encode_line(saved))

    loaded = Cursor.load(run.folder, KEY, "fake")
    assert loaded.positions[writer] == Position(segment, 0, ((0, 2), (4, 7)), logger)
    deliver(subscribe(run), fake)

    assert fake.metrics == [*range(6), 1, 2]  # records 2 and 3
    assert offset > 0


@pytest.mark.parametrize("error", [Retry("busy"), OSError("refused"), TimeoutError(), ConnectionResetError()])
def test_what_is_transient_is_tried_until_it_works(
    error: BaseException, make_run: Callable[..., ActiveRun], fake: Fake
) -> None:
    run = make_run()
    put(run, 0, 1)
    left = iter(range(20))
    fake.fails = lambda hook, what: error if hook == "metrics" and next(left, None) is not None else None

    subscription = subscribe(run)
    deliver(subscription, fake)

    assert fake.metrics == [0, 1]
    assert fake.hooks().count("metrics") == 21
    assert fake.hooks().count("start") == fake.hooks().count("log") == 1  # what was taken is not sent again
    assert subscription.cursor.state == "ok"
    assert subscription.cursor.last_error is not None


def test_the_backend_says_how_long_it_wants_to_be_left_alone(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, 0)
    fake.fails = lambda hook, what: Retry("slow down", after=30.0) if hook == "metrics" else None
    subscription = subscribe(run)

    deliver(subscription, fake, seconds=0.2)

    assert 29 < subscription.retry_at - time.monotonic() <= 30
    assert not subscription.wants()
    assert Cursor.load(run.folder, KEY, "fake").health().state == "retrying"


def test_wrong_credentials_pause_and_lose_nothing(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, 0)
    fake.fails = lambda hook, what: Pause("401") if hook == "metrics" else None
    subscription = subscribe(run)

    deliver(subscription, fake, seconds=0.2)

    health = Cursor.load(run.folder, KEY, "fake").health()
    assert (health.state, health.dead, health.last_error) == ("paused", 0, "401")
    assert health.waiting == 2
    assert 50 < subscription.retry_at - time.monotonic() <= 60


@pytest.mark.parametrize("error", [Reject("never"), ValueError("odd"), SystemExit(1)])
def test_a_poison_record_is_found_and_buried_alone(
    error: BaseException, make_run: Callable[..., ActiveRun], fake: Fake
) -> None:
    run = make_run()
    put(run, *range(1000))
    fake.fails = lambda hook, what: (
        error if hook == "metrics" and any(record.metrics["n"] == 613 for record in what) else None
    )
    subscription = subscribe(run)

    deliver(subscription, fake)

    assert fake.metrics == [number for number in range(1000) if number != 613]
    assert subscription.cursor.dead == 1
    [line] = (run.folder / "delivery" / f"{KEY}.dead.jsonl").read_bytes().splitlines()
    letter = decode_line(line)
    assert letter is not None
    assert (letter["hook"], letter["metrics"]) == ("on_metrics", {"n": 613})
    assert str(error) in letter["error"]
    assert fake.hooks().count("metrics") <= 26


def test_one_that_fails_at_everything_is_left_alone_and_nothing_more_is_buried(
    make_run: Callable[..., ActiveRun], fake: Fake
) -> None:
    run = make_run()
    put(run, *range(100))
    fake.fails = lambda hook, what: ZeroDivisionError() if hook == "metrics" else None
    subscription = subscribe(run)

    deliver(subscription, fake)

    assert subscription.is_abandoned
    health = Cursor.load(run.folder, KEY, "fake").health()
    assert health.state == "quarantined"
    assert (health.dead, list(run.folder.glob("delivery/*.dead.jsonl"))) == (0, [])
    assert health.waiting == 101  # a later `refunc sync` begins the window again


def test_a_dead_letter_is_written_with_its_window_and_once(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    """Of a window that is not finished all is delivered again, what was refused as well: it may be taken then."""
    run = make_run()
    put(run, 0, 1)
    fake.fails = lambda hook, what: Reject("no") if hook == "metrics" else Retry("down") if hook == "log" else None
    first = subscribe(run)
    deliver(first, fake, seconds=0.3)
    first.close()
    assert (first.cursor.dead, list(run.folder.glob("delivery/*.dead.jsonl"))) == (0, [])

    fake.fails = lambda hook, what: Reject("no") if hook == "metrics" and any(r.metrics["n"] for r in what) else None
    deliver(subscribe(run), fake)

    [line] = (run.folder / "delivery" / f"{KEY}.dead.jsonl").read_bytes().splitlines()
    assert fake.metrics == [0]
    assert json.loads(line)["metrics"] == {"n": 1}


def test_at_most_once_moves_the_cursor_first(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, 0)
    seen: list[int] = []
    fake.fails = lambda hook, what: seen.append(Cursor.load(run.folder, KEY, "fake").health().waiting)  # type: ignore[func-returns-value]

    deliver(subscribe(run), fake, "at-most-once")

    assert seen == [0] * len(fake.calls)


def test_at_most_once_holds_for_the_end_as_well(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    """The process dies while the end's message is under way: nobody is told again."""
    run = make_run()
    put(run, 0)
    run.end("completed")
    at_the_end: list[bool] = []

    def note(hook: str, what: Any) -> None:
        if hook == "end":
            at_the_end.append(Cursor.load(run.folder, KEY, "fake").is_done)

    fake.fails = note

    deliver(subscribe(run), fake, "at-most-once")

    assert at_the_end == [True]


def test_what_comes_behind_an_end_that_was_told_brings_no_other_end(
    make_run: Callable[..., ActiveRun], fake: Fake
) -> None:
    """A child of the training may log on, and its parent is gone by then."""
    run = make_run()
    run.end("completed")
    subscription = subscribe(run)
    deliver(subscription, fake, "at-most-once")
    put(run, 7)

    deliver(subscription, fake, "at-most-once")

    assert fake.metrics == [7]
    assert [what.status for hook, what in fake.calls if hook == "end"] == ["completed"]
    assert Cursor.load(run.folder, KEY, "fake").is_done


def test_an_end_that_was_not_taken_is_left_to_be_told(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, 0)
    run.end("completed")
    fake.fails = lambda hook, what: Retry("busy", after=60.0) if hook == "end" else None
    deliver(subscribe(run), fake, "at-most-once")
    assert not Cursor.load(run.folder, KEY, "fake").is_done
    fake.fails = lambda hook, what: None

    deliver(subscribe(run), fake, "at-most-once")  # the lock is free although the first one waits

    assert fake.hooks().count("end") == 2
    assert Cursor.load(run.folder, KEY, "fake").is_done


@pytest.mark.parametrize("error", [Pause("who are you"), Retry("busy", after=60.0)])
def test_while_it_waits_an_ended_run_is_left_to_who_has_better_credentials(
    error: Exception, make_run: Callable[..., ActiveRun], fake: Fake
) -> None:
    run = make_run()
    put(run, 0, 1)
    run.end("completed")
    waits, better = subscribe(run), Fake()
    fake.fails = lambda hook, what: error
    deliver(waits, fake)

    taker = subscribe(run)
    deliver(taker, better)
    taker.close()

    assert better.metrics == [0, 1]
    fake.fails = lambda hook, what: None
    waits.retry_at = 0.0
    deliver(waits, fake)
    assert fake.metrics == []  # it sees that all is done
    assert waits.is_done


def test_a_run_that_goes_on_and_a_window_half_settled_are_kept(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, 0)
    fake.fails = lambda hook, what: Retry("busy", after=60.0)
    goes_on = subscribe(run)
    deliver(goes_on, fake)
    other = Fake()
    deliver(subscribe(run), other)
    assert other.calls == []
    goes_on.close()
    run.end("completed")
    fake.fails = lambda hook, what: Retry("busy", after=60.0) if hook == "log" else None
    deliver(subscribe(run), fake)

    deliver(subscribe(run), other)

    assert fake.metrics == [0]
    assert other.calls == []


def test_live_delivery_begins_anew(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, 0)
    first = subscribe(run, keeps=False)
    deliver(first, fake)
    first.close()

    deliver(subscribe(run, keeps=False), fake)

    assert fake.metrics == [0, 0]


def test_a_run_whose_process_is_gone_ends_as_crashed(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, 0)
    subscription = subscribe(run)
    deliver(subscription, fake)
    assert "end" not in fake.hooks()
    run.writer.release()  # as the kernel does when the process dies

    deliver(subscription, fake)

    assert fake.calls[-1][0] == "end"
    assert fake.calls[-1][1].status == "crashed"
    assert subscription.is_done


def test_records_behind_the_end_are_delivered_and_the_end_once(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    subscription = subscribe(run)
    run.end("completed")
    deliver(subscription, fake)
    assert subscription.is_done
    put(run, 7)

    assert not subscription.is_done
    deliver(subscription, fake)

    assert fake.metrics == [7]
    assert fake.hooks().count("end") == 1


def test_an_epoch_alone_is_the_step_and_progress_lines_are_no_points(
    make_run: Callable[..., ActiveRun], fake: Fake
) -> None:
    run = make_run()
    run.writer.append(MetricsRow(0, time.time(), kinds.METRICS, epoch=3, metrics={"n": 1}))
    run.put("log", {"level": "PROGRESS", "message": "half", "metrics": {"n": 2}})
    run.put("log", {"level": "RESULT", "message": "best", "metrics": {"n": 3}})
    run.writer.flush()

    deliver(subscribe(run), fake)

    [records] = [what for hook, what in fake.calls if hook == "metrics"]
    assert [(record.metrics["n"], record.step) for record in records] == [(1, 3), (3, None)]


def test_only_one_process_delivers_a_run(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, 0)
    first, second = subscribe(run), subscribe(run)
    assert first.wants()

    assert not second.wants()
    deliver(first, fake)
    first.close()
    put(run, 1)
    assert not second.is_done
    deliver(second, fake)

    assert fake.metrics == [0, 1]  # it goes on where the first one stopped, not where it stood itself


def test_one_whose_turn_never_came_leaves_the_cursor_alone(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    run = make_run()
    put(run, 0)
    first, second = subscribe(run), subscribe(run)
    deliver(first, fake)
    first.close()

    second.close()

    assert Cursor.load(run.folder, KEY, "fake").health().waiting == 0


def test_a_folder_that_is_removed_ends_its_delivery(make_run: Callable[..., ActiveRun], fake: Fake) -> None:
    import shutil

    run = make_run()
    put(run, 0)
    subscription = subscribe(run)
    deliver(subscription, fake)
    run.end("completed")
    shutil.rmtree(run.folder)

    deliver(subscription, fake)

    assert subscription.is_done
    assert not Path(run.folder).exists()
