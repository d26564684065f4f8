"""
A process that reads journals for this one: starting it, and its side, which answers one request after another.

It is started by a command and not by `multiprocessing`, which would import a user's script again, and it ends with the
process that started it, however that ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from refunc.processes.own_process import command, environment

if TYPE_CHECKING:
    import subprocess

#: The most processes: further ones would wait for this one, or for each other at the index.
_MOST: Final = 8


def cores() -> int:
    """Return how many processes may read ahead: one for each core that this process may use, at most eight."""
    return min(_MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@contextmanager
def started(function: str) -> Iterator[subprocess.Popen[bytes] | None]:
    """
    Yield a process that calls *function*, which calls `serve`; None if none can be started. It is killed at the end.

    Args:
        function: As `package.module:name`.
    """
    import subprocess

    try:
        process = subprocess.Popen(
            command(function),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is handled by the command, which ends this process
        )
    except OSError:  # no memory, or no processes allowed: then the others read, or the caller
        yield None
        return
    try:
        yield process
    finally:
        process.kill()
        with process:  # closes the pipes, and waits
            pass


def ask(process: subprocess.Popen[bytes], request: Any) -> None:
    """Send *request*, plain values, to a process that serves. Raises OSError if it has ended."""
    assert process.stdin
    process.stdin.write(json.dumps(request).encode("ascii") + b"\n")


# -- the other process -------------------------------------------------------------------------------------------------


def serve(answer: Callable[[Any], Iterable[bytes]]) -> None:
    """Write the *answer* to each request that comes from stdin, piece by piece, to stdout; end when stdin ends."""
    lines: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_listen, args=(lines,), daemon=True).start()
    while True:
        for piece in answer(json.loads(lines.get())):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(1, rest) :]


def _listen(lines: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)  # even in the middle of a run: no reader waits for it any longer
