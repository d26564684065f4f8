"""The deque and the rule by which it is emptied: waiting, re-entrance, back-pressure, drops."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from refunc.outlets import pump
from refunc.outlets.durability import check_durability
from refunc.outlets.outlet import Outlet


class Slow(Outlet):
    """An outlet whose batches are of ten, and whose step calls a function of the test."""

    def __init__(self, *, bound: int = 100, on_step: Callable[[], None] = bool) -> None:
        self.items: list[object] = []
        self.on_step = on_step
        self.behind_step: Callable[[], None] = bool
        super().__init__(bound=bound)

    def _step(self) -> int:
        if not self.queue:
            return 0
        self.on_step()
        count = 0
        while self.queue and count < 10:
            self.items.append(self.queue.popleft())
            count += 1
        self.behind_step()
        return count

    def __str__(self) -> str:
        return "The test"


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _fail() -> None:
    raise OSError(28, "No space left on device")


def test_flush_writes_everything_before_it_in_order() -> None:
    outlet = Slow()
    for n in range(95):
        outlet.append(n)

    assert outlet.flush()
    assert outlet.items == list(range(95))
    outlet.close()


def test_above_the_bound_the_caller_drains_and_nothing_is_dropped() -> None:
    outlet = Slow()
    for n in range(5_000):
        outlet.append(n)
        assert len(outlet.queue) <= 100

    outlet.close()
    assert outlet.items == list(range(5_000))
    assert outlet.dropped == 0


def test_a_thread_that_was_interrupted_leaves_the_next_drain_to_another_one() -> None:
    """Where signals come quicker than a batch is encoded, it would begin again and again, and nothing be written."""
    interrupts = 0

    def be_interrupted() -> None:
        nonlocal interrupts
        if threading.current_thread() is threading.main_thread():
            interrupts += 1
            raise KeyboardInterrupt

    outlet = Slow(on_step=be_interrupted)
    deadline = time.monotonic() + 20
    for n in range(50):
        outlet.append(n)
    while outlet.items != list(range(50)) and time.monotonic() < deadline:
        with contextlib.suppress(KeyboardInterrupt):
            outlet.flush()

    assert outlet.items == list(range(50))
    assert 0 < interrupts < 10  # without the step back there are thousands until the writer thread gets its turn
    outlet.close()


def test_a_record_within_a_drain_of_the_same_thread_is_left_to_it() -> None:
    """As from a signal handler or `__del__`: no deadlock, and written when the outer call returns."""
    outlet = Slow()
    answers: list[bool] = []

    def log_more() -> None:
        if len(answers) < 3:
            answers.append(outlet.write("inner"))

    outlet.behind_step = log_more
    assert outlet.write("outer")
    assert answers == [False, False, False]
    assert outlet.items == ["outer", "inner", "inner", "inner"]
    outlet.close()


def test_a_thousand_records_within_drains_need_no_deep_stack() -> None:
    outlet = Slow(bound=10_000)
    count = 0

    def log_more() -> None:
        nonlocal count
        if count < 3_000:
            count += 1
            outlet.write(count)

    outlet.behind_step = log_more
    assert outlet.write(0)
    outlet.close()
    assert outlet.items == list(range(3_001))


def test_a_drain_that_is_interrupted_all_the_time_comes_to_an_end(tools: Any) -> None:
    """As by objects whose `__del__` logs, while other threads log: the caller goes on, the writer thread as well."""
    outlet = Slow()
    count = 0
    me = threading.get_ident()

    def log_more() -> None:
        nonlocal count
        if threading.get_ident() == me:
            count += 1
            outlet.write(count)

    outlet.behind_step = log_more
    assert outlet.write(0)
    tools.until(lambda: outlet.items == list(range(count + 1)))
    outlet.behind_step = bool
    outlet.close()


def test_while_the_disk_refuses_the_newest_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    outlet = Slow(on_step=_fail)
    for n in range(150):
        outlet.append(n)

    assert outlet.flush() is False
    assert outlet.failing
    assert outlet.dropped == 50
    assert len(caplog.records) == 1
    outlet.on_step = bool
    assert outlet.flush()
    assert outlet.items == list(range(100))
    assert not outlet.failing
    outlet.close()


def test_an_error_that_is_no_oserror_reaches_no_caller(caplog: pytest.LogCaptureFixture) -> None:
    """Such as an impossible path in `log_dir`."""

    def fail() -> None:
        raise ValueError("embedded null byte")

    outlet = Slow(on_step=fail)
    assert outlet.write(1) is False
    assert "embedded null byte" in caplog.text
    outlet.on_step = bool
    assert outlet.flush()
    assert outlet.items == [1]
    outlet.close()


def test_a_stalled_drain_is_waited_for_a_second_and_then_not_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refunc.outlets.turn.WAIT", 1.0)  # as it is
    released, entered = threading.Event(), threading.Event()

    def stall() -> None:
        entered.set()
        released.wait(30)

    outlet = Slow(on_step=stall)
    outlet.append(0)
    assert entered.wait(10)
    began = time.monotonic()
    assert outlet.flush() is False
    for n in range(1, 1_000):
        outlet.append(n)
    took = time.monotonic() - began
    dropped = outlet.dropped
    released.set()

    assert 0.9 < took < 20, "the drain stalls for 30 s, and each of 900 calls might wait for a second"
    assert dropped == 1_000 - 100
    assert outlet.flush()
    assert outlet.items == list(range(len(outlet.items)))
    assert len(outlet.items) + dropped == 1_000
    for n in range(500):
        outlet.append(n)
    assert outlet.flush()
    assert outlet.dropped == dropped, "a stall that is over drops nothing more"
    outlet.close()


def test_what_a_stalled_drain_leaves_is_written_behind_the_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk at the end of a run loses nothing, and the outlet is no longer served then."""
    monkeypatch.setattr("refunc.outlets.turn.WAIT", 0.05)
    released, entered = threading.Event(), threading.Event()

    def stall() -> None:
        entered.set()
        released.wait(30)

    outlet = Slow(on_step=stall)
    outlet.append(0)
    assert entered.wait(10)
    for n in range(1, 50):
        outlet.append(n)
    outlet.close()
    assert outlet.items == []
    released.set()

    _wait_for(lambda: len(outlet.items) == 50)
    _wait_for(lambda: id(outlet) not in pump._pump.outlets)
    outlet.append(50)
    _wait_for(lambda: len(outlet.items) == 51)
    assert outlet.items == list(range(51))
    outlet.close()
    assert id(outlet) not in pump._pump.outlets


def test_two_threads_that_write_every_record_do_not_starve_each_other() -> None:
    outlet = Slow()
    done = {"a": 0, "b": 0}
    refused = 0
    stop = time.monotonic() + 0.5

    def work(name: str) -> None:
        nonlocal refused
        while time.monotonic() < stop:
            refused += not outlet.write((name, done[name]))
            done[name] += 1

    threads = [threading.Thread(target=work, args=(name,)) for name in done]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert refused == 0
    assert min(done.values()) > 20, done
    for name, count in done.items():
        assert [item for item in outlet.items if item[0] == name] == [(name, n) for n in range(count)]  # type: ignore[index]
    outlet.close()


def test_an_unknown_durability_names_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="async, process, disk"):
        check_durability("often")


def test_a_child_writes_few_records_in_their_calls_and_leaves_many_to_the_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # This test does the rounds of the thread by hand.
    monkeypatch.setattr(pump, "serve", lambda outlet: True)
    monkeypatch.setattr(pump, "is_in_child", lambda: True)
    outlet = Slow()
    assert _written_in_calls(outlet, 30) == 30  # before the first round: it may be terminated by then
    outlet.keep_pace()
    assert _written_in_calls(outlet, 51) == 51
    outlet.keep_pace()
    assert _written_in_calls(outlet, 51) == 0
    outlet.keep_pace()
    assert outlet.drain()
    assert _written_in_calls(outlet, 50) == 0
    outlet.keep_pace()
    assert outlet.drain()
    assert _written_in_calls(outlet, 50) == 50
    outlet.close()
    outlet.keep_pace()  # the thread, which found it among its outlets before it was closed
    assert _written_in_calls(outlet, 51) == 51


def test_a_child_leaves_a_disk_that_refuses_to_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "serve", lambda outlet: True)
    monkeypatch.setattr(pump, "is_in_child", lambda: True)
    outlet = Slow(on_step=_fail)
    outlet.append(1)
    outlet.keep_pace()
    assert outlet.high_water == 100


def _written_in_calls(outlet: Slow, count: int) -> int:
    before = len(outlet.items)
    for n in range(count):
        outlet.append(n)
    return len(outlet.items) - before
