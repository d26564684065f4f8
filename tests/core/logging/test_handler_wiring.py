"""Wrapping handlers before targets that log, flush, close, raise, fork or hang, however they are wired."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from tests.core.logging.targets import wait_for

from refunc.logging import AsyncHandler, BufferedHandler
from refunc.logging.handlers import passing

#: Statements that a target runs at each record, besides taking it.
BEHAVIOURS = {
    "logs to its own logger": "logging.getLogger(record.name.partition('.')[0]).error('cannot send')",
    "logs to root": "logging.getLogger().error('cannot send')",
    "logs at the level of the record": "logging.getLogger('client').log(record.levelno, 'cannot send')",
    "logs by refunc": "MLLogger('client', 'WARNING').error('cannot send')",
    "flushes": "[wrapper.flush() for wrapper in wrappers if self in wrapper.all_targets()]",
    "closes": "[wrapper.close() for wrapper in wrappers if self in wrapper.all_targets()]",
    "raises": "raise OSError('cannot send')",
    "ends its thread": "threading.current_thread() is not threading.main_thread() and sys.exit(3)",
    "forks": "os.fork() or os._exit(0)",
    "hangs": "threading.current_thread() is not threading.main_thread() and threading.Event().wait()",
}

SCRIPT = """
import logging, os, sys, threading, warnings
warnings.filterwarnings("ignore", ".*use of fork.*")
from refunc.logging import AsyncHandler, BufferedHandler, MLLogger; from refunc.logging.handlers import ends, passing
passing.CALL_WAIT, ends.EXIT_WAIT = 0.1, 0.5

class Target(logging.Handler):
    def handle(self, record):  # past `handleError`
        with self.lock:
            taken.append(record.getMessage())
            BEHAVIOUR

class Witness(logging.Handler):
    def emit(self, record):
        seen.append(record.getMessage())

taken, seen, wrappers = [], [], []
def wrapper(kind, **options):
    wrappers.append(kind(**options))
    return wrappers[-1]
def circle():
    outer = wrapper(AsyncHandler); inner = wrapper(BufferedHandler, buffer_size=1, target=[outer, Target()])
    outer.adopt([inner, Target()])
    return outer
root = logging.getLogger(); root.addHandler(Witness()); root.setLevel(20)
for name, first in {
    "async": wrapper(AsyncHandler, flush_interval=0.01, target=Target()),
    "late": wrapper(AsyncHandler, flush_interval=60, target=Target()),
    "small": wrapper(AsyncHandler, buffer_size=1, target=Target()),
    "buffered": wrapper(BufferedHandler, buffer_size=2, target=Target()),
    "box": wrapper(BufferedHandler, buffer_size=2, auto_flush=False, target=Target()),
    "nested": wrapper(AsyncHandler, target=wrapper(BufferedHandler, buffer_size=1, target=Target())),
    "turned": wrapper(BufferedHandler, buffer_size=1, target=wrapper(AsyncHandler, target=Target())),
    "circle": circle(),
    "other": wrapper(AsyncHandler, flush_interval=0.01, target=Target()),
}.items():
    logging.getLogger(name).addHandler(first)
root.addHandler(wrapper(AsyncHandler, flush_interval=0.01, target=Target()))
root.addHandler(wrapper(BufferedHandler, buffer_size=3, target=Target()))
for name in ("async", "late", "small", "buffered", "box", "nested", "turned", "circle", "other"):
    for number in range(4):
        logging.getLogger(name).info(f"{name} {number}")
    logging.getLogger(name).error(f"{name} error")
own = [text for text in seen if text.rpartition(" ")[0] in logging.Logger.manager.loggerDict and text != "cannot send"]
print(len(own), "cannot send" in seen, len(taken) < 500, flush=True)
"""


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_whatever_targets_do_calls_return_and_the_process_ends(behaviour: str) -> None:
    script = SCRIPT.replace("BEHAVIOUR", BEHAVIOURS[behaviour])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, f"45 {behaviour.startswith('logs')} True\n"), done.stderr


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.Logger("somebody's")
    yield logger
    for handler in logger.handlers:
        handler.close()


class Failing(logging.Handler):
    """Cannot send, and says so on *logger*."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self.logger = logger
        self.taken: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.taken.append(record.getMessage())
        self.logger.error("cannot send %s", record.getMessage())


@pytest.mark.parametrize("kind", [AsyncHandler, BufferedHandler])
def test_what_a_target_logs_is_counted_and_said_once_where_somebody_sees_it(
    kind: type[AsyncHandler] | type[BufferedHandler], root: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    target = Failing(root)
    handler = kind(target=target)
    root.addHandler(handler)

    for number in range(3):
        root.error("%d", number)

    assert (target.taken, handler.dropped) == (["0", "1", "2"], 3)
    said = caplog.text
    assert said.count("a target logged 'cannot send 0' (logger somebody's) while it handled a record") == 1
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("kinds", [[AsyncHandler] * 5, [BufferedHandler] * 5, [AsyncHandler, BufferedHandler] * 3])
def test_targets_that_log_about_each_other_come_to_an_end(
    kinds: list[type[AsyncHandler] | type[BufferedHandler]], root: logging.Logger
) -> None:
    targets = [Failing(root) for _ in kinds]
    for kind, target in zip(kinds, targets, strict=True):
        root.addHandler(kind(target=target))

    root.error("x")
    for handler in root.handlers * 2:
        handler.flush()

    for target in targets:
        assert sorted(target.taken) == sorted(["x", *["cannot send x"] * (len(kinds) - 1)])


@pytest.mark.parametrize("kind", [AsyncHandler, BufferedHandler])
def test_a_target_that_raises_is_said_once_and_keeps_no_other_from_its_record(
    kind: type[AsyncHandler] | type[BufferedHandler], root: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("target bug")

    stream = io.StringIO()
    handler = kind(target=[Broken(), logging.StreamHandler(stream)])
    root.addHandler(handler)

    root.error("1")
    root.error("2")

    assert (stream.getvalue(), handler.dropped) == ("1\n2\n", 2)
    assert caplog.text.count("raised RuntimeError: target bug at a line from") == 1


def test_a_target_that_hangs_holds_up_neither_callers_nor_other_handlers(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hanging(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            entered.set()
            assert leave.wait(60)

    monkeypatch.setattr(passing, "CALL_WAIT", 0.05)
    entered, leave, stream = threading.Event(), threading.Event(), io.StringIO()
    hanging = AsyncHandler(buffer_size=10, target=Hanging())
    root.addHandler(hanging)
    root.addHandler(AsyncHandler(target=logging.StreamHandler(stream)))

    root.warning("0")
    assert entered.wait(30)
    done = threading.Thread(target=lambda: [root.log(30 + 10 * (n % 2), "%d", n) for n in range(1, 40)])
    done.start()
    done.join(30)

    assert not done.is_alive()
    # On a busy machine, its thread may take longer than a call waits.
    wait_for(lambda: stream.getvalue() == "".join(f"{number}\n" for number in range(40)))
    # One is with the target; of the rest, ERROR had room for twice as many.
    assert hanging.dropped == 40 - 1 - 20
    assert caplog.text.count("its buffer is full and a target hangs") == 1
    leave.set()


def test_two_threads_whose_targets_log_about_each_other_do_not_wait_for_each_other(root: logging.Logger) -> None:
    """Each holds its target's lock while it logs a record that is given to the other's target."""

    class Waiting(Failing):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "x" and not all_in.broken:
                all_in.wait(5)
            super().emit(record)

    all_in = threading.Barrier(2)
    loggers = [logging.Logger("1"), logging.Logger("2")]
    shared = logging.Logger("shared")
    for logger in loggers:
        handler = BufferedHandler(buffer_size=1, target=Waiting(shared))
        logger.addHandler(handler)
        shared.addHandler(handler)
    threads = [threading.Thread(target=logger.error, args=("x",), daemon=True) for logger in loggers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)


def test_a_handler_that_is_let_go_of_passes_on_what_it_has_and_ends_its_thread() -> None:
    before = set(threading.enumerate())  # which may end meanwhile
    stream = io.StringIO()
    logger = logging.Logger("short")
    logger.addHandler(AsyncHandler(flush_interval=0.02, target=logging.StreamHandler(stream)))
    logger.warning("x")
    assert [thread.name for thread in set(threading.enumerate()) - before] == [passing.THREAD]
    del logger

    wait_for(lambda: set(threading.enumerate()) <= before)
    assert stream.getvalue() == "x\n"


def test_an_interval_below_that_of_other_threads_is_kept(root: logging.Logger) -> None:
    class Clock(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            waited.append(time.monotonic() - float(record.getMessage()))

    waited: list[float] = []
    handler = AsyncHandler(flush_interval=0.005, target=Clock())
    root.addHandler(handler)
    for number in range(1, 21):
        root.warning("%r", time.monotonic())
        wait_for(lambda number=number: len(waited) == number)  # type: ignore[misc]

    # The writer thread comes only each 50 ms. On a busy machine some wait for a processor, and the others do not.
    assert sorted(waited)[2] < 0.025


def test_a_box_drops_the_oldest_below_error_first_and_says_so_once(
    root: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    stream = io.StringIO()
    box = BufferedHandler(buffer_size=3, auto_flush=False, target=logging.StreamHandler(stream))
    root.addHandler(box)

    root.error("error 1")
    for number in range(10):
        root.warning("%d", number)
    root.error("error 2")
    box.flush()

    assert (stream.getvalue(), box.dropped) == ("error 1\n9\nerror 2\n", 9)
    assert caplog.text.count("holds 3 records; older ones are dropped") == 1


def test_what_a_buffer_holds_belongs_to_the_process_that_logged_it(root: logging.Logger) -> None:
    reading, writing = os.pipe()

    class Pipe(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            os.write(writing, f"{record.getMessage()}\n".encode())

    box = BufferedHandler(target=Pipe())
    root.addHandler(box)
    root.warning("parent")
    child = os.fork()
    if not child:
        root.warning("child")
        box.flush()
        os._exit(0)
    os.waitpid(child, 0)
    box.flush()

    assert os.read(reading, 100) == b"child\nparent\n"
    os.close(reading)
    os.close(writing)
