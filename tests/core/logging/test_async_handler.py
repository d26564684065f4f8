"""AsyncHandler: its thread passes records on in order, and none is lost, however slow the target is."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.core.logging.targets import Collector, logger_with, wait_for

from refunc.logging import AsyncHandler
from refunc.runs.store import open_store


def test_async_passes_records_on_behind_the_callers_back_in_order() -> None:
    target = Collector()
    handler = AsyncHandler(buffer_size=1000, flush_interval=0.05, target=target)
    logger = logger_with(handler)

    for number in range(50):
        logger.info("line %d", number)
    wait_for(lambda: len(target.messages) == 50)

    assert target.messages == [f"line {number}" for number in range(50)]
    assert target.threads == {"refunc-handlers"}
    handler.close()


def test_async_loses_nothing_with_a_full_buffer_and_a_slow_target() -> None:
    target = Collector(delay=0.0002)
    handler = AsyncHandler(buffer_size=10, flush_interval=5.0, target=target)
    logger = logger_with(handler)

    for number in range(2_000):
        logger.info("%d", number)
    handler.close()

    assert len(target.messages) + handler.dropped == 2_000
    assert handler.dropped == 0
    assert target.messages == [str(number) for number in range(2_000)]


def test_async_passes_an_error_on_before_the_call_returns() -> None:
    target = Collector()
    handler = AsyncHandler(flush_interval=60, target=target)
    logger = logger_with(handler)

    logger.info("before")
    logger.error("now")

    assert target.messages == ["before", "now"]
    handler.close()


def test_async_keeps_arguments_as_they_were_at_the_call() -> None:
    target = Collector()
    handler = AsyncHandler(flush_interval=60, target=target)
    logger = logger_with(handler)
    shape = [1]

    logger.info("shape %s", shape)
    shape.append(2)
    handler.flush()

    assert target.messages == ["shape [1]"]
    handler.close()


def test_async_respects_the_targets_level_and_counts_what_a_target_refuses() -> None:
    class Broken(Collector):
        def handle(self, record: logging.LogRecord) -> bool:  # past Handler.handleError
            raise RuntimeError("target bug")

    broken, picky = Broken(), Collector()
    picky.setLevel(logging.WARNING)
    handler = AsyncHandler(flush_interval=60, target=[picky, broken])
    logger = logger_with(handler)

    logger.info("below")
    logger.warning("above")
    handler.flush()

    assert picky.messages == ["above"]
    assert handler.dropped == 2
    handler.close()


def test_async_drops_nothing_where_a_full_buffer_takes_a_target_seconds() -> None:
    target = Collector(delay=0.002)
    handler = AsyncHandler(buffer_size=700, flush_interval=0.05, target=target)
    logger = logger_with(handler)

    for number in range(1_500):
        logger.info("%d", number)
    handler.close()
    wait_for(lambda: len(target.messages) == 1_500)

    assert target.messages == [str(number) for number in range(1_500)]
    assert handler.dropped == 0


def test_async_closed_while_its_target_is_slow_loses_nothing() -> None:
    class Gate(Collector):
        def emit(self, record: logging.LogRecord) -> None:
            entered.set()
            assert leave.wait(10)
            super().emit(record)

    entered, leave, target = threading.Event(), threading.Event(), Gate()
    handler = AsyncHandler(flush_interval=0.05, target=target)
    logger = logger_with(handler)
    logger.info("0")
    assert entered.wait(10)
    for number in range(1, 10):
        logger.info("%d", number)

    handler.close()
    leave.set()
    wait_for(lambda: len(target.messages) == 10)

    assert handler.dropped == 0
    handler.close()


def test_a_slow_target_keeps_no_journal_and_no_log_file_waiting(tmp_path: Path) -> None:
    script = """
import glob, logging, os, signal, time
from refunc.logging import AsyncHandler, MLLogger, experiment_context
class Slow(logging.Handler):
    def emit(self, record):
        print("begun", flush=True)
        time.sleep(60)
plain = logging.getLogger("plain"); plain.setLevel(20)
plain.addHandler(AsyncHandler(flush_interval=0.05, target=Slow()))
log = MLLogger("train", "INFO")
with experiment_context("e", "r"):
    plain.info("slow"); plain.info("slow")
    for number in range(100):
        log.log_metrics({"loss": number})
        log.info("line")
        time.sleep(0.01)
    def written():
        journal = "".join(open(path).read() for path in glob.glob("experiments/*/journal/*.jsonl"))
        return journal.count('"loss"') == 100 == open("logs/train.log").read().count("  line\\n")
    while not written():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (-9, "begun\n"), done.stderr
    [run] = open_store(tmp_path / "experiments")
    assert run.summary.points == 100
    assert Path("logs/train.log").read_text().count("  line\n") == 100


@pytest.mark.parametrize(
    "end", ["ends.EXIT_WAIT = 1.0", "ends.EXIT_WAIT = 90.0; threading.Thread(target=press, daemon=True).start()"]
)
def test_a_slow_target_delays_the_exit_until_time_is_up_or_ctrl_c(end: str) -> None:
    script = """
import logging, os, signal, threading, time
from refunc.logging.handlers import ends
from refunc.logging import AsyncHandler, MLLogger
class Slow(logging.Handler):
    def emit(self, record):
        begun.set()
        time.sleep(0.2)
begun = threading.Event()
def press():
    while not ends.exit_deadline: time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
plain = logging.getLogger("plain"); plain.setLevel(20)
plain.addHandler(AsyncHandler(flush_interval=0.05, target=Slow()))
log = MLLogger("train", "INFO")
for number in range(500): plain.info("slow")  # which take it 100 s
log.info("line")
begun.wait()
"""
    done = subprocess.run([sys.executable, "-c", script + end], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0
    assert re.search(r"AsyncHandler .* ([234]\d\d|500) records were not passed on before the process", done.stderr)
    assert Path("logs/train.log").read_text().count("  line\n") == 1


def test_async_in_a_forked_child_has_a_thread_of_its_own_and_none_of_the_parents_records() -> None:
    script = """
import logging, os, sys, time, warnings
warnings.filterwarnings("ignore", ".*use of fork.*")
from refunc.logging import AsyncHandler
class Target(logging.Handler):
    def emit(self, record):
        os.write(1, f"{record.getMessage()}\\n".encode())
        passed.append(1)
passed = []
logger = logging.getLogger("x"); logger.setLevel(20)
handler = AsyncHandler(flush_interval=60, target=Target()); logger.addHandler(handler)
logger.info("started"); handler.flush()
logger.info("parent")
if not os.fork():
    handler._queue._interval = 0.05
    logger.info("child 1"); logger.info("child 2")
    while len(passed) < 3: time.sleep(0.01)  # the parent's "started" is one
    os._exit(0)
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert done.stdout.splitlines() == ["started", "child 1", "child 2", "parent"], done.stderr


def test_async_delivers_at_exit_without_close() -> None:
    script = """
import logging
from refunc.logging import AsyncHandler
logger = logging.getLogger("x"); logger.setLevel(20)
logger.addHandler(AsyncHandler(flush_interval=60, target=logging.StreamHandler()))
for number in range(100): logger.info("line %d", number)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stderr.splitlines() == [f"line {number}" for number in range(100)]


def test_a_thread_that_ends_takes_no_wake_up_from_the_one_in_its_place() -> None:
    """Where a record is put while `close()` has the thread end, two wait for a moment, and one of them is woken."""
    target = Collector()
    handler = AsyncHandler(flush_interval=0.01, target=target)
    queue = handler._queue
    record = logging.LogRecord("train", logging.INFO, __file__, 1, "line", None, None)
    replaced = []
    for number in range(10):
        handler.emit(record)
        wait_for(lambda number=number: len(target.messages) == number + 1)  # type: ignore[misc]
        assert queue._thread is not None
        replaced.append(queue._thread)
        queue._thread = None
        assert queue._is_served()
        assert queue._thread not in replaced

    handler.close()
    wait_for(lambda: not any(thread.is_alive() for thread in replaced))
