"""The threads of a process that writes: started once, restarted in a child, none needed at exit."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from refunc.outlets import pump
from refunc.outlets.outlet import Outlet
from refunc.runs import open_store


class Collected(Outlet):
    """An outlet whose records end in a list."""

    def __init__(self) -> None:
        self.items: list[object] = []
        super().__init__()

    def _step(self) -> int:
        count = 0
        while self.queue:
            self.items.append(self.queue.popleft())
            count += 1
        return count


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pump._Pump]:
    own = pump._Pump()
    monkeypatch.setattr(pump, "_pump", own)
    yield own
    own.close()


def _ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in ("refunc-writer", "refunc-fsync")]


def test_threads_that_log_first_at_the_same_time_start_one_pair(fresh: pump._Pump) -> None:
    before = len(_ours())
    for _ in range(20):
        own = pump._Pump()
        gate = threading.Barrier(8)

        def start(own: pump._Pump = own, gate: threading.Barrier = gate) -> None:
            gate.wait()
            own.start()

        starters = [threading.Thread(target=start) for _ in range(8)]
        for thread in starters:
            thread.start()
        for thread in starters:
            thread.join()
        assert len(_ours()) == before + 2
        own.close()
        assert len(_ours()) == before


def test_a_queued_record_is_written_by_the_writer_thread(fresh: pump._Pump) -> None:
    outlet = Collected()
    outlet.append(1)
    outlet.append(2)
    drained = threading.Event()
    step = outlet._step

    def watched_step() -> int:
        count = step()
        if len(outlet.items) == 3:
            drained.set()
        return count

    outlet._step = watched_step  # type: ignore[method-assign]
    outlet.append(3)

    assert drained.wait(10)
    assert outlet.items == [1, 2, 3]


def test_behind_the_close_every_record_is_written_in_its_call(fresh: pump._Pump) -> None:
    outlet = Collected()
    outlet.append(1)
    fresh.close()
    outlet.append(2)
    other = Collected()
    other.append(3)

    assert outlet.items == [1, 2]
    assert other.items == [3]


def test_closing_twice_does_no_harm(fresh: pump._Pump) -> None:
    outlet = Collected()
    outlet.append(1)
    fresh.close()
    fresh.close()

    assert outlet.items == [1]


def test_at_exit_an_interrupted_call_is_taken_up_again() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise KeyboardInterrupt

    pump.at_exit(call)

    assert len(calls) == 3


def test_what_one_outlet_raises_does_not_stop_another(fresh: pump._Pump, caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Collected(), Collected()
    broken.append(1)
    sound.append(1)
    broken.flush = broken.fsync = lambda **_: 1 / 0  # type: ignore[method-assign,assignment]
    fresh.close()

    assert sound.items == [1]
    assert f"{broken}: draining it at exit failed unexpectedly; please report this" in caplog.text
    assert f"{broken}: syncing it at exit failed unexpectedly; please report this" in caplog.text


def test_what_is_said_of_a_failure_is_what_failed(fresh: pump._Pump, caplog: pytest.LogCaptureFixture) -> None:
    said = threading.Event()

    class Broken(Collected):
        def drain(self, *, limit: int | None = None, force: bool = False) -> bool:
            if threading.current_thread().name == pump.WRITER:
                said.set()
                raise ZeroDivisionError
            return super().drain(limit=limit, force=force)

    broken = Broken()
    broken.append(1)
    assert said.wait(10)
    pump.at_exit(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    fresh.close()

    assert f"{broken}: its round failed unexpectedly; please report this" in caplog.text
    assert "refunc: its work at exit failed unexpectedly; please report this" in caplog.text
    assert "write" not in caplog.text


def test_an_outlet_whose_round_raises_stops_no_other_outlet(
    fresh: pump._Pump, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever raises in it: in a child process the thread also asks how much was logged."""
    monkeypatch.setattr(pump, "is_in_child", lambda: True)
    broken, sound = Collected(), Collected()
    broken.keep_pace = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    for outlet in (broken, sound):
        outlet.append(1)
    sound.high_water = 10  # the rest is the thread's work
    sound.append(2)
    deadline = time.monotonic() + 20
    while len(sound.items) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    fresh.close()

    assert f"{broken}: its round failed unexpectedly; please report this" in caplog.text


def test_a_finalizer_that_logs_while_the_threads_look_at_the_outlets_stops_no_round(fresh: pump._Pump) -> None:
    """Up to Python 3.11, garbage may be collected in the midst of one call into C."""
    fresh.outlets.update((number, Collected()) for number in range(100))
    outlet, changes = Collected(), 0

    def finalize(phase: str, info: object) -> None:
        nonlocal changes
        if phase != "start":
            return
        changes += 1
        if fresh.outlets.pop(id(outlet), None) is None:
            fresh.outlets[id(outlet)] = outlet

    threshold = gc.get_threshold()
    gc.callbacks.append(finalize)
    try:
        for number in range(60):
            gc.set_threshold(1 + number % 6)  # at another allocation each time
            fresh._drain_due()
            fresh.rest()
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(finalize)
    assert changes


HALF_IMPORTED = """
import sys, threading, time, types
from refunc.logging import MLLogger

log = MLLogger("train")
names = ["asyncio", "IPython", "ipykernel", "multiprocess.process", "multiprocessing", "multiprocessing.process",
         "numpy", "pandas", "torch", "tqdm", "refunc.delivery.handover"]
whole = {name: sys.modules.get(name) for name in names}
for name in names:
    sys.modules[name] = types.ModuleType(name)
log.start_experiment("e")
for value in (0.5, 1, object()):
    log.log_metrics({"loss": value})
log.info("a line")
deadline = time.monotonic() + 20
while log._run.writer.waiting:
    assert time.monotonic() < deadline, [thread.name for thread in threading.enumerate()]
    time.sleep(0.01)
assert "refunc-writer" in {thread.name for thread in threading.enumerate()}
log.end_experiment()
for name, module in whole.items():
    del sys.modules[name]
    if module is not None:
        sys.modules[name] = module
"""


def test_modules_that_another_thread_is_importing_stop_no_call_and_no_thread(own_folder: Path) -> None:
    """Modules of others that refunc looks into stand in `sys.modules` before anything is in them."""
    done = subprocess.run([sys.executable, "-c", HALF_IMPORTED], capture_output=True, text=True, timeout=60)

    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    [run] = open_store()
    assert run.status == "completed"


def test_a_round_of_the_writer_thread_that_fails_is_told_and_the_next_one_comes(
    fresh: pump._Pump, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fails = iter([True])

    def has_parent() -> bool:
        if threading.current_thread().name == "refunc-writer" and next(fails, False):
            raise AttributeError("parent_process")
        return False

    monkeypatch.setattr(pump, "has_parent", has_parent)
    outlet = Collected()
    deadline = time.monotonic() + 20
    for number in range(1, 3):
        outlet.append(number)
        while len(outlet.items) < number:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    assert next(fails, None) is None
    assert fresh.threads["refunc-writer"].is_alive()
    assert [record.message for record in caplog.records if "a round of its writer thread failed" in record.message]
