"""
The limits of the machine: a dozen lines each, with no checks, no context, no plugins, no rotation.

They are floors and no products. A record is the time, the step and the numbers; nothing else of refunc's is in it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Handles = tuple[Callable[..., object], Callable[[], object]]


class Queue:
    """A clock, a copy and an append in the call; a thread encodes the queue every 50 ms, and writes it at once."""

    def __init__(self, name: str) -> None:
        self._queue: deque[Any] = deque()
        self._file = os.open(f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self._queue.append((time.time(), step, {**metrics}))

    def line(self, message: str, **fields: Any) -> None:
        self._queue.append((time.time(), "info", message, fields))

    def _drain(self) -> None:
        encode = msgspec.json.Encoder().encode_lines
        take = self._queue.popleft
        while True:
            stopped = self._stop.wait(0.05)
            while count := min(len(self._queue), 256):
                os.write(self._file, encode([take() for _ in range(count)]))
            if stopped:
                return

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._file)


class Write:
    """Encoded in the call and given to the kernel with one `write(2)`; with *sync*, forced to the disk as well."""

    def __init__(self, name: str, *, sync: bool = False) -> None:
        self._encode = msgspec.json.Encoder().encode_lines
        self._file = os.open(f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._sync = sync

    def log(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        os.write(self._file, self._encode([(time.time(), step, metrics)]))
        if self._sync:
            os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


def start_queue(name: str, uri: str) -> Handles:
    limit = Queue(name)
    return limit.log, limit.close


def start_write(name: str, uri: str) -> Handles:
    limit = Write(name)
    return limit.log, limit.close


def start_disk(name: str, uri: str) -> Handles:
    limit = Write(name, sync=True)
    return limit.log, limit.close


def start_nothing(name: str, uri: str) -> Handles:
    return _nothing, _nothing


def _nothing(metrics: Mapping[str, Any] | None = None, step: int | None = None) -> None:
    pass
