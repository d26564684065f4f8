"""
Reading many runs, one after the other, while other processes may read ahead.

Such a process puts runs into the index and does nothing else. Whoever comes to a run then finds it there; where it is
not, because the process died or the index cannot be used, the journal is read as always. So no answer depends on these
processes. They are started by a command and not by `multiprocessing`, which would import a user's script once more, and
end when the process ends that started them, however that ends.

Each holds what is on its way to the index, a million values at most: less than 100 MB with all that it has loaded.
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

from refunc.journal.child import command
from refunc.runs.content import signature_of
from refunc.runs.index import index_of
from refunc.runs.reading import read_content
from refunc.runs.run import Run

#: Bytes of journals for which a process is worth being started.
_SHARE: Final = 32 << 20
#: Processes at most: further ones would wait for each other at the index.
_MOST: Final = 8
#: Seconds between two looks at whether anybody is there still who reads ahead.
_LOOK: Final = 0.1


def cores() -> int:
    """Return how many processes may read ahead: one for each core that this process may use, eight at most."""
    return min(_MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@contextmanager
def read_ahead(runs: Sequence[Run], processes: int = 0) -> Iterator[Iterator[Run]]:
    """
    Give *runs*, which are of one store, in their order. Meanwhile their index stays open.

    Args:
        processes: How many may read ahead, each with a thread here that waits for it. None is started where what is new
            to the index is not worth two.
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
    """Yield each run when it has been read ahead, or nobody will."""
    for run in runs:
        event = read.get(run.folder)
        while event is not None and not event.wait(_LOOK) and any(thread.is_alive() for thread in threads):
            pass
        yield run


@contextmanager
def _reading(waiting: deque[tuple[Path, Event]]) -> Iterator[Thread]:
    """Have a process read what is *waiting*, and kill it in the end."""
    try:
        process = subprocess.Popen(
            command("refunc.runs.ahead:serve"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C at the terminal is for the command, which ends this
        )
    except OSError:  # no memory, or no processes here: then the others read, or the caller
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
    """Put the runs whose folders stdin names into the index, with a line of answer for each; end when stdin does."""
    folders: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_listen, args=(folders,), daemon=True).start()
    while True:
        with suppress(Exception):  # whoever comes to the run will meet it too, and say so
            read_content(Path(json.loads(folders.get())))
        os.write(1, b"\n")


def _listen(folders: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        folders.put(line)
    os._exit(0)  # in the middle of a run, too: nobody waits for it any longer
