"""
A log file: an outlet that formats records in the draining thread and appends their lines.

One process writes a file, and has one LogFile for it, however many loggers of that name there are. A second training in
the same folder, or a forked worker, finds it locked and writes to one with its pid in the name. So no process rotates a
file that another one writes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet

from refunc.logging.logfiles.rotation import predecessor, remove_left, rotate, stem_for
from refunc.logging.logfiles.written import Passed, record_of
from refunc.logging.notices import warn_once
from refunc.outlets import pump
from refunc.outlets.appender import FileOutlet
from refunc.outlets.batch_state import State
from refunc.outlets.file import AppendFile, fsync_file
from refunc.outlets.locks import lock
from refunc.outlets.opening import NO_DESCRIPTOR, write_whole
from refunc.outlets.own_folder import keep_out_of_git, make_folder
from refunc.processes.forks import in_child
from refunc.processes.launchers import is_launched, launch_rank
from refunc.values.levels import ERROR

#: Log files that are open at once in a process; beyond that, the one that was written longest ago is closed.
MAX_OPEN = 32
#: Seconds until a refused rotation is tried again.
ROTATE_AGAIN = 60.0
#: Seconds without a line after which a file is closed whose loggers are gone.
UNUSED = 1.0

#: Whether open files cannot be renamed, as on Windows. Elsewhere the file stays open, and its lock is kept.
CLOSES_TO_RENAME = os.name == "nt"

#: The open files, the one that was written longest ago first.
_open: dict[LogFile, None] = {}


class FileSettings(NamedTuple):
    """The settings of a log file."""

    formatter: logging.Formatter  # runs on the draining thread
    max_bytes: int  # a longer line gets a file of its own
    max_files: int  # the maximum number, including the current one
    level: int = logging.NOTSET  # data below it are left out
    has_all: bool = False  # whether it has every point of a metric
    is_usual_folder: bool = False  # whether the user has not named another: then the folder is refunc's, if it makes it


class LogFile(FileOutlet):
    """
    A log file and its rotated predecessors; the folder is made at the first line.

    The queue holds `Passed` records. Loggers get their files from `shelf.files_for`.
    """

    def __init__(
        self, folder: Path, name: str, suffix: str, settings: FileSettings, forget: Callable[[LogFile], object]
    ) -> None:
        """
        Args:
            name: The logger's name; the file's is a slug of it.
            settings: May be replaced at any time.
            forget: Called when the file is closed because no logger writes it any more.
        """
        self.folder = folder
        self.name = name
        self._stem = stem_for(name)
        self._suffix = suffix
        self.settings = settings
        #: The loggers that write to it, held weakly.
        self.users: WeakSet[object] = WeakSet()
        self._forget = forget
        super().__init__()

    def __str__(self) -> str:
        return f"The log file {self.path}"

    def _reset(self) -> None:
        super()._reset()
        self.path = self._own_path()
        self._is_second = False  # whether another process has the file without a pid in its name
        self._rotate_at = 0.0
        self._rotations = self._rotations_fsynced = 0
        self._coming = 0  # bytes to write next
        self._is_dirty = False
        self._written_at = time.monotonic()

    def _own_path(self) -> Path:
        """Return the path that belongs to this process's rank; without ranks, the first process to open it has it."""
        number = launch_rank() if is_launched() else None
        mark = f".rank{number}" if number else ""
        return self.folder / f"{self._stem}{mark}{self._suffix}"

    # -- opening and closing -----------------------------------------------------------------------------------------

    def _open_next(self) -> AppendFile:
        if make_folder(self.folder) and self.settings.is_usual_folder:
            with contextlib.suppress(OSError):
                keep_out_of_git(self.folder)
        if not self._is_second:
            self.path = self._own_path()  # the program may have set its rank since
        file = None if self._is_second else _locked(self.path)
        if file is None:
            if not self._is_second:
                self._is_second = True
                self.path = self.folder / f"{self._stem}.{os.getpid()}{self._suffix}"
            self.remove_left()
            file = _locked(self.path) or AppendFile(self.path, new=False)
        size = file.size
        if size and file.read(size - 1, size) != b"\n":  # a killed process left half a line
            write_whole(file.fd, b"\n")
        return file

    def _retire(self, state: State) -> None:
        # `fsync` finds a file by its name: a rotated file needs no descriptor.
        if state.file is not None:
            state.file.give_up()

    def is_unused(self) -> bool:
        """Whether no logger has the file, and no record of a former logger is on its way to it."""
        return not self.users and self.is_idle and time.monotonic() - self._written_at > UNUSED

    def remove_left(self) -> None:
        """Remove files of processes that are gone, beyond the number of files that are allowed."""
        remove_left(self.folder, self._stem, self._suffix, self.settings.max_files)

    def finish(self) -> None:
        """Remove files of workers: those that ended together have not seen each other end."""
        self.remove_left()

    def let_go(self) -> None:
        """Drain and close the file if it is not being written; the next line opens it again."""
        _open.pop(self, None)
        self.high_water = 0  # as in `Outlet.close`, without an fsync, which may take longer than the write
        if not super().drain(force=True) or self._turn.lock.locked() or self._state.data is not None:
            self._leave_to_thread()
            return
        pump.dismiss(self)
        self._served = self.is_closing = False
        self.high_water = 0
        self._turn.take(self._leave_written_file)

    def close(self) -> None:
        """Drain, fsync and close the file. A later line opens it again."""
        super().close()
        if self._state.file is None:
            _open.pop(self, None)

    def drain(self, *, limit: int | None = None, force: bool = False) -> bool:
        """Write the queued records; close the file that was written longest ago if too many are open. See Outlet."""
        done = super().drain(limit=limit, force=force)
        if self._state.file is not None:
            _open.pop(self, None)
            _open[self] = None
            if len(_open) > MAX_OPEN:
                _close_oldest()
        return done

    def relieve(self) -> None:
        """Relieve a queue above `high_water`; several records come at once, see `Transcript`."""
        super().relieve()
        count = len(self.queue) + 1
        while self._bound < len(self.queue) < count and (self.failing or self._turn.is_stalled()):
            count = len(self.queue)
            self._shed()

    # -- within the turn --------------------------------------------------------------------------------------------

    def _write_alone(self) -> bool:
        """Leave the write to a drain, which knows the line's length before it chooses the file."""
        return False

    def _next_count(self, state: State) -> int:
        """Return how many records fit into the open file, or, if the first does not fit, into the next file."""
        limit = super()._next_count(state)
        if state.file is None:  # its size is not known
            return min(limit, 1)
        count, size = 0, state.size
        try:
            while count < limit:
                self.queue[count] = line = self._line(self.queue[count])  # one step: no interrupt loses a line
                if size + len(line) > self.settings.max_bytes and size:
                    if count:
                        break
                    size = 0
                size += len(line)
                count += 1
        except IndexError:  # a caller dropped a record meanwhile
            pass
        return count

    def _with_file(self, state: State) -> State:
        data = self._encode(state.batch or [], state.seq, state.drops) if state.data is None else state.data
        self._coming = len(data)
        if state.file is None:
            state = super()._with_file(state)
        if not state.tried and self._is_full(state.size):
            if CLOSES_TO_RENAME:
                self._leave_file(state)
                state = self._state
            try:
                rotate(self.path, self.settings.max_files)
                self._rotations += 1
            except OSError as error:
                self._rotate_at = time.monotonic() + ROTATE_AGAIN
                warn_once(
                    f"rotation {self.path}",
                    "%s is full and cannot be renamed: %s. It grows beyond its limit; renaming is tried again.",
                    self,
                    error,
                )
        return super()._with_file(state)

    def _is_full(self, size: int) -> bool:
        """Whether a file of *size* bytes has no room for the batch; an empty one takes any line."""
        is_over = size + self._coming > self.settings.max_bytes
        return size > 0 and is_over and time.monotonic() >= self._rotate_at

    def _put(self, state: State) -> None:
        self._written_at = time.monotonic()
        super()._put(state)
        self._is_dirty = True

    def _encode(self, batch: list[Any], seq: int, drops: int) -> bytes:
        lines = [self._line(item) for item in batch]
        if drops:
            told = logging.LogRecord("refunc", logging.WARNING, __file__, 0, f"{drops} lines were dropped", None, None)
            lines.append(self._formatted(told))
        return b"".join(lines)

    def _line(self, item: Passed | bytes) -> bytes:
        return item if isinstance(item, bytes) else self._formatted(record_of(item))

    def _formatted(self, record: logging.LogRecord) -> bytes:
        return (self.settings.formatter.format(record) + "\n").encode("utf-8", "backslashreplace")

    def _is_kept(self, item: Any) -> bool:
        return isinstance(item, Passed) and item.level >= ERROR

    # -- the disk ----------------------------------------------------------------------------------------------------

    def fsync(self) -> bool:
        """Force written records to the disk; False if it refuses. Closes a file whose loggers are gone."""
        self._current()
        done = not self._is_dirty or self._fsync_files()
        if self.is_unused():
            self.let_go()
            self._forget(self)
        return done

    def _fsync_files(self) -> bool:
        while True:
            rotations = self._rotations
            self._is_dirty = False
            try:
                for number in range(min(rotations - self._rotations_fsynced, self.settings.max_files - 1) + 1):
                    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                        fsync_file(predecessor(self.path, number))
            except OSError as error:
                self._is_dirty = True
                if error.errno not in NO_DESCRIPTOR:
                    warn_once(f"fsync {self.path}", "%s may not survive a power cut: %s.", self, error)
                return False
            self._rotations_fsynced = rotations
            if rotations == self._rotations:
                return True


def _locked(path: Path) -> AppendFile | None:
    """Open *path* for this process alone; None if another process has it."""
    for _ in range(10):
        file = AppendFile(path, new=False)
        if not lock(file.fd):
            file.close()
            return None
        with contextlib.suppress(FileNotFoundError):  # it was removed or rotated away between the two calls
            if os.path.samestat(os.stat(path), os.fstat(file.fd)):
                return file
        file.close()
    return None


def _close_oldest() -> None:
    for file in tuple(_open)[: len(_open) - MAX_OPEN]:
        file.let_go()


@in_child
def _after_fork_in_child() -> None:
    _open.clear()
