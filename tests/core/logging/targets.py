"""A target for handlers that pass records on, and a logger that has one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any


class Collector(logging.Handler):
    """Keeps the messages that it gets, and the threads that brought them; may be slow."""

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


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.005)
