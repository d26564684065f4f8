"""Handlers and filters of others that raise at a line: the training goes on, and the line is not lost with them."""

from __future__ import annotations

import copy
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from refunc.logging import BufferedHandler, MLLogger
from refunc.logging.notices import warn_once
from refunc.outlets import foreign
from refunc.outlets.foreign import own_logger


class Collecting(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class RaisingInEmit(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if "[" in record.getMessage():
            raise LookupError("no such tag: " + record.getMessage())


class RaisingInHandle(logging.Handler):
    def handle(this, record: logging.LogRecord) -> Any:  # noqa: N805  # some call it so
        RaisingInEmit().emit(record)


class RaisingInAFilter(Collecting):
    def __init__(self) -> None:
        super().__init__()
        self.addFilter(lambda record: RaisingInEmit().emit(record) is None)


class RaisingInABuffer(BufferedHandler):
    def __init__(self) -> None:
        super().__init__(1, target=RaisingInEmit())


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_told", set())


@pytest.fixture
def on_root() -> Iterator[Callable[[logging.Handler], None]]:
    before = logging.root.handlers[:]
    yield logging.root.addHandler
    logging.root.handlers[:] = before


@pytest.mark.parametrize("kind", [RaisingInEmit, RaisingInHandle, RaisingInAFilter, RaisingInABuffer])
def test_the_training_goes_on_the_other_handlers_get_the_line_and_it_is_said_once(
    kind: Callable[[], logging.Handler], on_root: Callable[[logging.Handler], None]
) -> None:
    before, behind = Collecting(), Collecting()
    for handler in (before, kind(), behind):
        on_root(handler)
    logger = MLLogger("contained")

    logger.info("open [/data]")
    logger.metric("loss", metrics={"[loss]": 1.0})
    logger.error("read [/data]")
    logger.info("fine")

    lines = [line for line in behind.lines if "raised" not in line]
    assert [line.split()[0] for line in lines] == ["open", "loss", "read", "fine"]
    (said,) = [line for line in behind.lines if "raised" in line]
    assert "LookupError: no such tag: open [/data]" in said
    assert kind.__name__ in said
    assert "test_foreign_handlers.py:" in said
    assert before.lines[-1] == "fine"
    assert before.lines.count("open [/data]") == 1


def test_a_filter_of_the_logger_that_raises_lets_nothing_pass(on_root: Callable[[logging.Handler], None]) -> None:
    seen = Collecting()
    on_root(seen)
    logger = MLLogger("contained-filter")
    refusing: Callable[[logging.LogRecord], bool] = lambda record: RaisingInEmit().emit(record) is None  # noqa: E731
    logging.getLogger("contained-filter").addFilter(refusing)
    try:
        logger.info("a secret [x]")
        logger.info("fine")
    finally:
        logging.getLogger("contained-filter").removeFilter(refusing)

    assert "a secret [x]" not in seen.lines
    assert seen.lines[-1] == "fine"
    assert "A filter of 'contained-filter' raised LookupError" in seen.lines[0]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="filters give no record before Python 3.12")
@pytest.mark.parametrize("kind", [RaisingInEmit, RaisingInHandle, RaisingInAFilter, RaisingInABuffer])
@pytest.mark.parametrize("how_many", [1, 2])
def test_handlers_behind_one_that_raises_get_the_record_that_a_filter_gave(
    kind: Callable[[], logging.Handler], how_many: int, on_root: Callable[[logging.Handler], None]
) -> None:
    seen = Collecting()
    for handler in (*(kind() for _ in range(how_many)), seen):
        on_root(handler)
    calls = []

    def redact(record: logging.LogRecord) -> Any:
        calls.append(record)
        given = copy.copy(record)
        given.msg, given.args = "[redacted]", None
        return given

    stdlib = logging.getLogger("redacted")
    stdlib.addFilter(redact)
    try:
        MLLogger("redacted").info("a secret [x]")
    finally:
        stdlib.removeFilter(redact)

    assert "[redacted]" in seen.lines
    assert not any("a secret" in line for line in seen.lines)
    assert len(calls) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_who_ends_the_process_ends_it(
    error: type[BaseException], on_root: Callable[[logging.Handler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = Collecting()
    on_root(handler)

    def emit(record: logging.LogRecord) -> None:
        raise error

    monkeypatch.setattr(handler, "emit", emit)
    with pytest.raises(error):
        MLLogger("ended").info("line")


def test_a_factory_of_records_that_raises_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    def factory(*args: Any, **options: Any) -> logging.LogRecord:
        raise LookupError("no trace here")

    original = logging.getLogRecordFactory()
    logging.setLogRecordFactory(factory)
    try:
        MLLogger("made").info("line")
    finally:
        logging.setLogRecordFactory(original)

    assert "line" in caplog.messages


def test_what_refunc_itself_says_is_contained_too(on_root: Callable[[logging.Handler], None]) -> None:
    behind = Collecting()
    on_root(RaisingInEmit())
    on_root(behind)

    warn_once("[a] key of this test", "a [warning]")
    own_logger("refunc.journal").error("disk [full]")

    assert "a [warning]" in behind.lines
    assert behind.lines[-1] == "disk [full]"


def test_a_handler_that_cannot_be_flushed_is_told_by_the_result_alone() -> None:
    class Closed(logging.Handler):
        def flush(self) -> None:
            raise ValueError("I/O operation on closed file")

    logger = MLLogger("flushed")
    handler = Closed()
    logger.add_handler(handler)
    try:
        assert logger.flush() is False
    finally:
        logger.remove_handler(handler)
    assert logger.flush() is True


def test_the_console_shows_what_it_left_to_a_handler_that_raised() -> None:
    script = """
import logging, sys
class Raising(logging.StreamHandler):
    def emit(self, record):
        if "[" in record.getMessage():
            raise LookupError(record.getMessage())
        super().emit(record)
logging.basicConfig(level="INFO", format="theirs %(message)s", handlers=[Raising(sys.stderr)])
from refunc.logging import MLLogger
MLLogger("train").info("open [/data]")
MLLogger("train").info("fine")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    lines = run.stderr.splitlines()
    assert sum("open [/data]" in line and "raised" not in line for line in lines) == 1
    assert sum("Raising raised LookupError" in line for line in lines) == 1
    assert lines[-1] == "theirs fine"
