"""
Reading many runs one after the other, with other processes reading ahead.

Such a process only puts runs into the index, where the reader finds them. If a run is not there, because the process
died or the index cannot be used, the journal is read as usual. So results do not depend on these processes. They are
started by a command and not by `multiprocessing`, which would import a user's script again, and they end with the
process that started them, however it ends.

Each holds at most a million values before they go to the index: less than 100 MB in total.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

from refunc.processes.own_process import command, environment
from refunc.runs.gathered import signature_of
from refunc.runs.index.file import index_of
from refunc.runs.read_on import read_content
from refunc.runs.run import Run

#: Bytes of journals for which starting a process is worthwhile.
_SHARE: Final = 32 << 20
#: The most processes: further ones would wait for each other at the index.
_MOST: Final = 8
#: Seconds between two checks whether a process is still reading ahead.
_LOOK: Final = 0.1


def cores() -> int:
    """Return how many processes may read ahead: one for each core that this process may use, at most eight."""
    return min(_MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@contextmanager
def read_ahead(runs: Sequence[Run], processes: int = 0) -> Iterator[Iterator[Run]]:
    """
    Yield *runs*, which are of one store, in their order. Meanwhile their index stays open.

    Args:
        processes: The most processes that read ahead, each with a waiting thread here. None is started if the new data
        is not worth two of them.
    """
    index = index_of(runs[0].folder) if runs else None
    with ExitStack() as stack:
        is_open = index is not None and stack.enter_context(index.held_open())
        new = index.unknown([run.folder for run in runs]) if index is not None and is_open and processes > 1 else []
        count = min(processes, len(new), sum(map(_size, new)) // _SHARE)
        read = {folder: Event() for folder in new} if count > 1 else {}
        waiting = deque(read.items())
        threads = [stack.enter_context(_reading(waiting)) for _ in range(count if read else 0)]
        yield _in_turn(runs, read, threads)


def _in_turn(runs: Sequence[Run], read: dict[Path, Event], threads: list[Thread]) -> Iterator[Run]:
    """Yield each run when it has been read ahead, or no process is left to do so."""
    for run in runs:
        event = read.get(run.folder)
        while event is not None and not event.wait(_LOOK) and any(thread.is_alive() for thread in threads):
            pass
        yield run


@contextmanager
def _reading(waiting: deque[tuple[Path, Event]]) -> Iterator[Thread]:
    """Make a process read the *waiting* runs, and kill it at the end."""
    try:
        process = subprocess.Popen(
            command("refunc.runs.prefetch:serve"),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is handled by the command, which ends this process
        )
    except OSError:  # no memory, or no processes allowed: then the others read, or the caller
        yield Thread()
        return
    thread = Thread(target=_feed, args=(process, waiting), name="refunc-ahead", daemon=True)
    try:
        thread.start()
        yield thread
    finally:
        process.kill()
        thread.join()
        with process:  # closes the pipes, and waits
            pass


def _feed(process: subprocess.Popen[bytes], waiting: deque[tuple[Path, Event]]) -> None:
    assert process.stdin
    assert process.stdout
    is_alive = True
    while is_alive and waiting:
        with suppress(IndexError):  # another thread has taken the last one
            folder, event = waiting.popleft()
            try:
                process.stdin.write(json.dumps(str(folder)).encode("ascii") + b"\n")
                is_alive = bool(process.stdout.readline())
            except OSError:
                is_alive = False
            finally:
                event.set()


def _size(folder: Path) -> int:
    return sum(size for _, size, _, _ in signature_of(folder))


# -- the other process -------------------------------------------------------------------------------------------------


def serve() -> None:
    """Index the runs whose folders come from stdin, and answer each with a line; end when stdin ends."""
    folders: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_listen, args=(folders,), daemon=True).start()
    while True:
        with suppress(Exception):  # the reader of the run gets the same error and reports it
            read_content(Path(json.loads(folders.get())))
        os.write(1, b"\n")


def _listen(folders: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        folders.put(line)
    os._exit(0)  # even in the middle of a run: no reader waits for it any longer
