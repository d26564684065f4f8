"""
Reading many runs one after the other, with other processes reading ahead.

Such a process only puts runs into the index, where the reader finds them. If a run is not there, because the process
died or hangs, or the index cannot be used, the journal is read as usual. So results do not depend on these processes.

Each holds at most a million values before they go to the index: less than 100 MB in total.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Final

import attrs

from refunc.runs.index.file import Index, index_of
from refunc.runs.keeping import Keeper, size_of
from refunc.runs.reader_process import Reader, serve, started
from refunc.runs.run import Run
from refunc.runs.signature import signature_of

#: Bytes of journals for which starting a process is worthwhile.
_SHARE: Final = 32 << 20
#: Bytes of journals that a process reads before it answers, unless one run has more.
_PORTION: Final = 2 << 20
#: Seconds between two checks whether a process is still reading ahead.
_LOOK: Final = 0.1


@contextmanager
def read_ahead(runs: Sequence[Run], processes: int = 0, *, for_facts: bool = False) -> Iterator[Iterator[Run]]:
    """
    Yield *runs*, which are of one store, in their order. Meanwhile their index stays open.

    Args:
        processes: The most processes that read ahead, each with a waiting thread here. None is started if the new data
            is not worth two of them.
        for_facts: Whether *runs* are new to the catalogue, and only their facts are wanted.
    """
    index = index_of(runs[0].folder) if runs else None
    with ExitStack() as stack:
        is_open = index is not None and stack.enter_context(index.held_open())
        new: list[Path] = []
        if index is not None and is_open and processes > 1:
            folders = [run.folder for run in runs]
            new = folders if for_facts else _unknown(index, folders)
        sizes = {folder: _size(folder) for folder in new}
        count = min(processes, len(new), sum(sizes.values()) // _SHARE)
        portions = _portions(sizes) if count > 1 else []
        read = {folder: portion.is_read for portion in portions for folder in portion.folders}
        waiting = deque(portions)
        threads = [stack.enter_context(_reading(waiting, for_facts=for_facts)) for _ in range(count if read else 0)]
        yield _in_turn(runs, read, threads)


@attrs.frozen
class _Portion:
    """Runs that a process reads before it answers."""

    folders: list[Path]
    is_read: Event = attrs.field(factory=Event)


def _portions(sizes: Mapping[Path, int]) -> list[_Portion]:
    """Return the folders in portions: small runs together, since each answer takes as long as reading one."""
    portions: list[_Portion] = []
    size = _PORTION
    for folder, more in sizes.items():
        if size + more > _PORTION:
            portions.append(_Portion([]))
            size = 0
        portions[-1].folders.append(folder)
        size += more
    return portions


def _in_turn(runs: Sequence[Run], read: dict[Path, Event], threads: list[Thread]) -> Iterator[Run]:
    """Yield each run when it has been read ahead, or no process is left to do so."""
    for run in runs:
        event = read.get(run.folder)
        while event is not None and not event.is_set() and any(thread.is_alive() for thread in threads):
            event.wait(_LOOK)
        yield run


@contextmanager
def _reading(waiting: deque[_Portion], *, for_facts: bool) -> Iterator[Thread]:
    """Make a process read the *waiting* runs, and kill it at the end."""
    with ExitStack() as stack:
        reader = stack.enter_context(started(f"refunc.runs.prefetch:{'serve_facts' if for_facts else 'serve_runs'}"))
        if reader is None:
            yield Thread()
            return
        thread = Thread(target=_feed, args=(reader, waiting), name="refunc-ahead", daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(reader.end)
        yield thread


def _feed(reader: Reader, waiting: deque[_Portion]) -> None:
    has_answered = True
    while has_answered and waiting:
        with suppress(IndexError):  # another thread has taken the last one
            portion = waiting.popleft()
            try:
                reader.ask(list(map(str, portion.folders)))
                has_answered = reader.answer() is not None
            finally:
                portion.is_read.set()


def _unknown(index: Index, folders: Sequence[Path]) -> list[Path]:
    from refunc.runs.index.contents import unknown

    return unknown(index, folders)


def _size(folder: Path) -> int:
    return size_of(signature_of(folder))


# -- the other process -------------------------------------------------------------------------------------------------


def serve_runs(descriptor: str) -> None:
    """Index the runs of each request, their folders, and answer then."""
    from refunc.runs.read_on import read_content

    def read(folders: list[Path]) -> None:
        for folder in folders:
            _try(read_content, folder)

    _serve(descriptor, read)


def serve_facts(descriptor: str) -> None:
    """Keep the facts of the runs of each request; like `serve_runs`."""

    def keep(folders: list[Path]) -> None:
        index = index_of(folders[0])
        if index is None:
            return
        keeper = Keeper(index)
        with index.held_open():
            for folder in folders:
                _try(lambda folder: keeper.read(Run.open(folder)), folder)
            keeper.flush()

    _serve(descriptor, keep)


def _serve(descriptor: str, read: Callable[[list[Path]], object]) -> None:
    def answers(folders: list[str]) -> tuple[bytes]:
        with suppress(Exception):  # a disk that is full: then the reader of the run reads it itself
            read(list(map(Path, folders)))
        return (b"",)

    serve(descriptor, answers)


def _try(read: Callable[[Path], object], folder: Path) -> None:
    with suppress(Exception):  # the reader of the run gets the same error and reports it
        read(folder)
