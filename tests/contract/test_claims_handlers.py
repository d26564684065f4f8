"""The reference's claims under "Performance Optimization": handlers that pass lines on later."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from refunc.logging import AsyncHandler, BufferedHandler, MLLogger


class Target(logging.Handler):
    """A handler of a user: keeps the messages it is given, and waits where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.go = threading.Event()
        self.go.set()

    def emit(self, record: logging.LogRecord) -> None:
        self.go.wait(20)
        self.messages.append(record.getMessage())


def test_logging_waits_for_no_target_behind_an_async_handler(user: Any) -> None:
    """`async_handler = AsyncHandler(`: "Async logging for high-performance scenarios", "Non-blocking logging"."""
    target = Target()
    target.go.clear()
    logger = MLLogger("high_performance")
    async_handler = AsyncHandler(target=target)
    logger.add_handler(async_handler)
    for number in range(100):
        logger.info("line %d", number)

    assert target.messages == []  # and yet all calls have returned
    target.go.set()
    async_handler.flush()
    assert target.messages == [f"line {number}" for number in range(100)]
    logger.remove_handler(async_handler)
    async_handler.close()


@pytest.mark.parametrize("size", [10, 1000])
def test_an_async_handler_holds_as_many_as_it_is_told(size: int, user: Any) -> None:
    """`buffer_size=1000`: a full buffer loses nothing."""
    target = Target()
    logger = MLLogger("high_performance")
    async_handler = AsyncHandler(buffer_size=size, target=target)
    logger.add_handler(async_handler)
    for number in range(3 * size):
        logger.info("line %d", number)
    async_handler.flush()

    assert target.messages == [f"line {number}" for number in range(3 * size)]
    assert async_handler.dropped == 0
    logger.remove_handler(async_handler)
    async_handler.close()


def test_an_async_handler_passes_on_after_its_interval(user: Any, tools: Any) -> None:
    """`flush_interval=5.0`: a line that waits is passed on by then, without another line."""
    soon, late = Target(), Target()
    logger = MLLogger("high_performance")
    handlers = [AsyncHandler(flush_interval=0.2, target=soon), AsyncHandler(flush_interval=3600.0, target=late)]
    for handler in handlers:
        logger.add_handler(handler)
    logger.info("the only line")
    tools.until(lambda: soon.messages)

    assert (soon.messages, late.messages) == (["the only line"], [])
    for handler in handlers:
        logger.remove_handler(handler)
        handler.close()


@pytest.mark.parametrize("kind", [AsyncHandler, BufferedHandler])
def test_a_handler_without_a_target_stands_before_those_that_there_are(kind: Any, user: Any) -> None:
    """`logger.add_handler(async_handler)`, `logger.add_handler(buffered)`: the console has each line, and once."""
    logger = MLLogger("high_performance")
    handler = kind()
    logger.add_handler(handler)
    for number in range(3):
        logger.info("line %d", number)
    assert kind is AsyncHandler or user.console() == []
    handler.flush()

    assert [line.split()[-1] for line in user.console()] == ["0", "1", "2"]
    logger.remove_handler(handler)
    handler.close()


def test_a_buffer_is_passed_on_together_when_it_is_full(user: Any) -> None:
    """`buffered = BufferedHandler(buffer_size=100, auto_flush=True)`: "Buffered logging"."""
    target = Target()
    logger = MLLogger("high_performance")
    buffered = BufferedHandler(buffer_size=100, auto_flush=True, target=target)
    logger.add_handler(buffered)
    seen = []
    for number in range(250):
        logger.info("line %d", number)
        seen.append(len(target.messages))
    logger.error("out of memory")

    assert sorted(set(seen)) == [0, 100, 200]
    assert target.messages == [*(f"line {number}" for number in range(250)), "out of memory"]


def test_a_buffer_without_auto_flush_waits_until_it_is_told(user: Any) -> None:
    """`auto_flush=True` is the default; False leaves it to `flush`, and lines it cannot hold are told and counted."""
    target = Target()
    logger = MLLogger("high_performance")
    buffered = BufferedHandler(buffer_size=10, auto_flush=False, target=target)
    logger.add_handler(buffered)
    logger.error("out of memory")
    for number in range(25):
        logger.info("line %d", number)
    assert target.messages == []
    buffered.flush()

    assert target.messages == ["out of memory", *(f"line {number}" for number in range(16, 25))]
    assert buffered.dropped == 16
    assert sum("older ones are dropped" in line for line in user.console()) == 1
