"""AsyncHandler and BufferedHandler, before any stdlib handler."""

from __future__ import annotations

import io
import logging
import logging.config
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import AsyncHandler, BufferedHandler, ConsoleHandler, MLLogger, get_logger, setup_logging
from refunc.runs.store import open_store


class Collector(logging.Handler):
    """Keeps what it gets, and the thread that brought it; may be slow."""

    def __init__(self, delay: float = 0.0) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.threads: set[str] = set()
        self.delay = delay

    def emit(self, record: logging.LogRecord) -> None:
        if self.delay:
            time.sleep(self.delay)
        self.messages.append(record.getMessage())
        self.threads.add(threading.current_thread().name)


def logger_with(handler: logging.Handler) -> logging.Logger:
    logger = logging.getLogger("plain")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    return logger


def wait_for(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)


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
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stdout) == (-9, "begun\n"), done.stderr
    [run] = open_store(tmp_path / "experiments")
    assert run.summary.points == 100
    assert Path("logs/train.log").read_text().count("  line\n") == 100


@pytest.mark.parametrize("end", ["ends.EXIT_WAIT = 1.0", "threading.Thread(target=press, daemon=True).start()"])
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
for number in range(500): plain.info("slow")
log.info("line")
begun.wait()
"""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script + end], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0
    assert time.monotonic() - begun < 9
    assert re.search(r"AsyncHandler .* (4\d\d|500) records were not passed on before the process ended", done.stderr)
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
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)

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


def test_without_a_target_a_handler_takes_over_those_that_the_logger_has(capsys: pytest.CaptureFixture[str]) -> None:
    logger = MLLogger("high_performance")
    handler = AsyncHandler(buffer_size=1000, flush_interval=60.0)
    logger.add_handler(handler)
    buffered = BufferedHandler(buffer_size=100, auto_flush=True)
    logger.add_handler(buffered)

    logger.info("held back")
    assert "held back" not in capsys.readouterr().err
    logger.flush()

    assert capsys.readouterr().err.count("held back") == 1
    assert logger.handlers == [buffered]
    handler.close()


@pytest.mark.parametrize("again", [setup_logging, lambda: MLLogger("refunc")])
@pytest.mark.parametrize("wrappers", [[AsyncHandler], [BufferedHandler], [AsyncHandler, BufferedHandler]])
def test_a_console_behind_a_wrapper_is_replaced_there(
    again: Callable[[], MLLogger], wrappers: list[type[AsyncHandler]], capsys: pytest.CaptureFixture[str]
) -> None:
    added = [wrapper() for wrapper in wrappers]
    for handler in added:
        get_logger().add_handler(handler)

    logger = again()
    logger.info("shown once")
    logger.flush()

    assert capsys.readouterr().err.count("shown once") == 1
    assert logger.handlers == added[-1:]
    for handler in added:
        handler.close()


def test_a_users_own_console_handler_stays_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    stream, elsewhere, errors = io.StringIO(), io.StringIO(), ConsoleHandler("ERROR")
    buffered = BufferedHandler(target=ConsoleHandler(stream=stream))
    plain = ConsoleHandler(stream=elsewhere)
    MLLogger("own").add_handler(buffered)
    MLLogger("own").add_handler(plain)
    logging.getLogger("strict").addHandler(errors)

    logger = MLLogger("own")
    logger.info("everywhere")
    logger.flush()
    MLLogger("strict").info("not on the console")
    MLLogger("strict").error("once on the console")

    shown = capsys.readouterr().err
    assert [text.count("everywhere") for text in (stream.getvalue(), elsewhere.getvalue(), shown)] == [1, 1, 1]
    assert (shown.count("not on the console"), shown.count("once on the console")) == (0, 1)


def test_buffered_passes_on_when_full_at_an_error_and_at_close() -> None:
    target = Collector()
    handler = BufferedHandler(buffer_size=3, target=target)
    logger = logger_with(handler)

    logger.info("1")
    logger.info("2")
    assert target.messages == []
    logger.info("3")
    assert target.messages == ["1", "2", "3"]
    logger.info("4")
    logger.error("5")
    assert target.messages[3:] == ["4", "5"]
    logger.info("6")
    handler.close()
    assert target.messages[5:] == ["6"]


def test_buffered_without_auto_flush_keeps_the_newest_and_counts_the_rest() -> None:
    target = Collector()
    handler = BufferedHandler(buffer_size=3, auto_flush=False, target=target)
    logger = logger_with(handler)

    for number in range(10):
        logger.error("%d", number)
    assert target.messages == []
    handler.flush()

    assert target.messages == ["7", "8", "9"]
    assert handler.dropped == 7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AsyncHandler(buffer_size=0), "buffer_size: 0 is not allowed. Allowed: a whole number above 0."),
        (lambda: AsyncHandler(buffer_size=1.5), "buffer_size: 1.5"),
        (lambda: AsyncHandler(flush_interval=-1), "flush_interval: -1 is not allowed. Allowed: a number above 0."),
        (lambda: BufferedHandler(buffer_size="many"), "buffer_size: 'many'"),
        (lambda: BufferedHandler(level="LOUD"), "level: 'LOUD' is not a log level"),
    ],
)
def test_bad_options_are_said_at_construction(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("kind", [AsyncHandler, BufferedHandler])
def test_without_a_target_on_a_logger_of_the_stdlib_it_says_so(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    handler = kind()
    other = logging.getLogger("other")
    other.addHandler(handler)
    other.warning("first")
    other.warning("second")
    handler.flush()
    other.removeHandler(handler)
    handler.close()

    (line,) = [record.getMessage() for record in caplog.records if "no target" in record.getMessage()]
    assert "lines from other are not shown" in line
    assert handler.dropped == 2


def test_what_a_handler_says_where_no_other_is_comes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    last = Collector()
    last.setLevel(logging.WARNING)
    monkeypatch.setattr(logging, "lastResort", last)
    monkeypatch.setattr(logging.root, "handlers", [])
    handler = BufferedHandler()
    logging.getLogger("other").addHandler(handler)
    logging.getLogger("other").warning("a line")
    handler.flush()
    logging.getLogger("other").removeHandler(handler)

    assert sum("no target" in message for message in last.messages) == 1


def test_add_handler_takes_any_stdlib_handler_and_nothing_else() -> None:
    logger = MLLogger("any")
    target = Collector()

    logger.add_handler(target)
    logger.info("seen")
    logger.remove_handler(target)
    logger.info("unseen")

    assert target.messages == ["seen"]
    with pytest.raises(TypeError, match=r"'text' is not a logging\.Handler"):
        logger.add_handler("text")  # type: ignore[arg-type]


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


class _Target(logging.StreamHandler):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize("wrapper", [AsyncHandler, BufferedHandler])
@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("console", "'console'"),
        (b"a", "b'a'"),
        (["a"], "'a'"),
        ([None], "None"),
        (_Target, "_Target(...)"),
        ([_Target], "_Target(...)"),
        ({5}, "5"),
        ([logging.NullHandler(), 5], "5"),
        ({"class": "logging.StreamHandler"}, "sorts after"),
        (5, "5"),
        (print, "print"),
    ],
)
def test_a_target_that_is_not_a_handler_is_refused(wrapper: type[AsyncHandler], target: Any, named: str) -> None:
    before = [reference() for reference in logging._handlerList]  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"is not a logging\.Handler") as caught:
        wrapper(target=target)
    assert named in str(caught.value)
    assert wrapper.__name__ in str(caught.value)
    assert all(type(reference()) is not wrapper or reference() in before for reference in logging._handlerList)


@pytest.mark.parametrize("target", ["cfg://handlers.slow", ["cfg://handlers.slow"]])
@pytest.mark.parametrize("name", ["a", "z"])
def test_dict_config_gives_the_target_or_says_how(target: Any, name: str) -> None:
    wrapper = {"()": "refunc.logging.BufferedHandler", "target": target}
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"slow": {"()": Collector}, name: wrapper},
        "loggers": {"configured": {"handlers": [name], "level": "INFO", "propagate": False}},
    }
    if name < "slow":
        with pytest.raises(ValueError, match="Unable to configure handler 'a'") as caught:
            logging.config.dictConfig(config)
        assert "a name that sorts after its target's" in str(caught.value.__cause__)
        return
    logging.config.dictConfig(config)
    logger = logging.getLogger("configured")
    logger.error("seen")

    made = logger.handlers[0]
    assert isinstance(made, BufferedHandler)
    assert isinstance(made.targets[0], Collector)
    assert made.targets[0].messages == ["seen"]


@pytest.mark.parametrize("wrapper", [AsyncHandler, BufferedHandler])
def test_remove_handler_gives_back_what_it_took_over(wrapper: type[AsyncHandler]) -> None:
    logger, other = MLLogger("owner"), MLLogger("guest")
    for handler in logger.handlers:
        logger.remove_handler(handler)
    first, second, beside = Collector(), Collector(), Collector()
    logger.add_handler(first)
    logger.add_handler(second)
    removed = wrapper()

    for round_ in ("first", "second"):
        logger.add_handler(removed)
        other.add_handler(removed)
        logger.add_handler(beside)
        guests = other.handlers
        logger.info(f"{round_} behind it")
        other.remove_handler(removed)
        assert other.handlers == [handler for handler in guests if handler is not removed]
        logger.remove_handler(removed)
        logger.info(f"{round_} without it")

        assert logger.handlers == [first, second, beside]
        logger.remove_handler(beside)

    expected = ["first behind it", "first without it", "second behind it", "second without it"]
    assert first.messages == second.messages == beside.messages == expected
    assert removed.dropped == 0


def test_remove_handler_keeps_a_target_of_its_own() -> None:
    logger, target = MLLogger("given"), Collector()
    removed = BufferedHandler(target=target)
    before = logger.handlers

    logger.add_handler(removed)
    logger.info("held")
    logger.remove_handler(removed)

    assert logger.handlers == before
    assert target.messages == ["held"]
