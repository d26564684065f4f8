"""
The segments of a run: each in a file of its own, or many one after the other in a *folded* file.

`refunc gc --fold` makes folded files from the segments of dead writers. A segment has the same name, the same bytes and
the same offsets in both, so reading can begin in one and go on in the other.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from functools import lru_cache
from itertools import accumulate, takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

import attrs

from refunc.journal import kinds
from refunc.journal.codec import decode_line, encode_line
from refunc.journal.folder import JOURNAL, SEGMENT_SUFFIX
from refunc.journal.holes import data_from, dense, extents
from refunc.journal.opening import names_in, opened
from refunc.values.jsonable import INT64_MAX

FOLDED_SUFFIX: Final = ".folded"
#: Segments in one folded file, and bytes of its first line, which names them.
MOST_FOLDED: Final = 10_000
MAX_HEADER_BYTES: Final = 4 << 20
#: Names of files have no more bytes.
_MAX_NAME: Final = 255
#: Times that a folder is listed again because it changed meanwhile.
_TRIES: Final = 5

# In ASCII: `²` is a digit, too, but not a number. 18 digits fit into 64 bits.
_SEGMENT = re.compile(rf"(.+)\.([0-9]{{1,18}}){re.escape(SEGMENT_SUFFIX)}", re.DOTALL)


def writer_of(name: str) -> str | None:
    """Return the writer of the segment called *name*; None if that is not a segment's name."""
    found = _SEGMENT.fullmatch(name)
    # No writer's name contains bytes that are not text, and such bytes could not be written into other files.
    is_text = name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)
    return found[1] if found is not None and is_text else None


def is_folded_name(name: str) -> bool:
    """Whether *name* is the name of a folded file."""
    return name.endswith(FOLDED_SUFFIX) and not name.startswith(".")


@attrs.frozen
class Segment:
    """
    One segment: the bytes of the file *path* from *start* to *end*, to the file's end if that is None.

    `fault` says why it cannot be read; then it represents a part of a folded file in which no segment can be found.
    """

    name: str
    path: str
    start: int = 0
    end: int | None = None
    fault: str = ""

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Segment:
        """Return the segment that is the whole file *path*."""
        return cls(os.path.basename(path), os.fspath(path))

    @property
    def number(self) -> int:
        """Its number among its writer's segments."""
        found = _SEGMENT.fullmatch(self.name)
        return int(found[2]) if found is not None else 0

    @property
    def is_folded(self) -> bool:
        """Whether it lies in a folded file."""
        return self.end is not None

    def size(self) -> int:
        """Return its size in bytes. Raises OSError."""
        return os.stat(self.path).st_size if self.end is None else self.end - self.start

    def opened(self) -> Slice:
        """
        Open it for reading.

        Raises:
            OSError: It cannot be opened; see `opening.opened`.
            NoDescriptorError: Too many files are open.
        """
        if self.fault:
            raise OSError(errno.EINVAL, self.fault, self.path)
        try:
            return Slice(opened(self.path, buffering=0), self.start, self.end)
        except FileNotFoundError:
            now = self._folded_since()
            if now is None:
                raise
            return Slice(opened(now.path, buffering=0), now.start, now.end)

    def _folded_since(self) -> Segment | None:
        """Return it in the folded file, if it was folded since it was found."""
        entries = names_in(os.path.dirname(self.path)) if self.end is None else []
        found = (piece for entry in entries for piece in _pieces_in(entry) if piece.name == self.name)
        return next(found, None)


class Slice:
    """The bytes of one segment while its file is open. Offsets are the segment's own."""

    __slots__ = ("_file", "_start", "is_cut", "size")

    def __init__(self, file: BinaryIO, start: int, end: int | None) -> None:
        self._file, self._start = file, start
        there = os.fstat(file.fileno()).st_size
        #: Its size in bytes.
        self.size = max(0, (there if end is None else min(end, there)) - start)
        #: Whether the file ends before the segment does.
        self.is_cut = end is not None and there < end

    def __enter__(self) -> Slice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def fileno(self) -> int:
        """Return the descriptor of its file."""
        return self._file.fileno()

    def read(self, offset: int, size: int) -> bytes:
        """Return up to *size* bytes after *offset*, fewer at the end. Raises OSError."""
        size = min(size, self.size - offset)
        if size <= 0:
            return b""
        self._file.seek(self._start + offset)
        return self._file.read(size)

    def data_from(self, offset: int) -> int | None:
        """Return where data begins, at *offset* or after it; None if there is a hole up to the end."""
        found = data_from(self._file, self._start + offset)
        return found - self._start if found is not None and found - self._start < self.size else None

    def extents(self) -> list[tuple[int, int]]:
        """Return the pieces that have data, in order, each as its start and end offset."""
        start, end = self._start, self._start + self.size
        return [(begin - start, min(stop, end) - start) for begin, stop in extents(self._file, start, end)]

    def check_whole(self) -> None:
        """Raise OSError if the file ends before the segment does."""
        if self.is_cut:
            raise OSError(errno.EIO, "a segment in it is cut off")


def segments(folder: Path) -> dict[str, list[Segment]]:
    """
    Return the segments in the run *folder* by writer, oldest first. Links and foreign files are left out.

    If a segment is in a folded file and in a file of its own, as after a kill, the latter is used. An unreadable part
    of a folded file becomes a segment with a fault, under the file's name.

    Raises:
        OSError: They cannot be listed, or their folder is a link.
        NoDescriptorError: Too many files are open.
    """
    found: dict[str, Segment] = {}
    folded: list[Segment] = []
    for entry in _entries(folder / JOURNAL):
        if writer_of(entry.name) is not None:
            if entry.is_file(follow_symlinks=False):
                found[entry.name] = Segment(entry.name, entry.path)
        else:
            folded += _pieces_in(entry)
    for piece in folded:
        found.setdefault(piece.name, piece)
    by_writer: dict[str, list[Segment]] = {}
    for name in sorted(found) if folded else found:
        by_writer.setdefault(writer_of(name) or name, []).append(found[name])
    return by_writer


def folded_segments(folder: Path) -> dict[str, Segment]:
    """Return by name the segments in the folded files of the run *folder*, even if `segments` uses another file."""
    found: dict[str, Segment] = {}
    for entry in _entries(folder / JOURNAL):
        for piece in _pieces_in(entry):
            found.setdefault(piece.name, piece)
    return found


def last_change(folder: Path) -> float | None:
    """Return when a segment of the run *folder* was changed last; None if there is none. Raises as `segments`."""
    found = []
    for path in {segment.path for pieces in segments(folder).values() for segment in pieces}:
        with suppress(FileNotFoundError):
            found.append(os.lstat(path).st_mtime)
    return max(found, default=None)


def folded_header(sizes: list[tuple[str, int]]) -> bytes:
    """Return the first line of a folded file, which lists the names and sizes of its segments."""
    return encode_line({"kind": kinds.FOLDED, "format": kinds.FORMAT, "segments": sizes})


def _entries(journal: Path) -> list[os.DirEntry[str]]:
    """
    Return the entries of the folder *journal* at one moment: while a run is folded, one file appears and others
    go.
    """
    entries: list[os.DirEntry[str]] = []
    for _ in range(_TRIES):
        before = _changed(journal)
        entries = names_in(journal)
        if _changed(journal) == before:
            break
    return entries


def _changed(folder: Path) -> int:
    try:
        return os.lstat(folder).st_mtime_ns
    except OSError:
        return 0


def _pieces_in(entry: os.DirEntry[str]) -> tuple[Segment, ...]:
    """Return the segments in a folded file; none if *entry* is something else. Raises NoDescriptorError."""
    if not is_folded_name(entry.name):
        return ()
    try:
        if not entry.is_file(follow_symlinks=False):
            return ()
        info = entry.stat(follow_symlinks=False)
        return _pieces(entry.path, info.st_ino, info.st_size, info.st_mtime_ns)
    except OSError as error:
        return (_broken(entry.path, error.strerror or str(error)),)


def _broken(path: str, why: str) -> Segment:
    return Segment(os.path.basename(path), path, fault=why)


@lru_cache(maxsize=4)
def _pieces(path: str, _number: int, size: int, _changed: int) -> tuple[Segment, ...]:
    """
    Return the segments in the folded file *path*, which has *size* bytes. Raises OSError.

    The file may come from another user. For any first line, segments stay within this file, after that line. The part
    that the line does not account for is one fault.
    """
    with opened(path) as file:
        line = dense(file).readline(MAX_HEADER_BYTES)
    header = decode_line(line[:-1]) if line.endswith(b"\n") else None
    said = header.get("segments") if header is not None and header.get("kind") == kinds.FOLDED else None
    if not isinstance(said, list):
        return (_broken(path, "it does not begin with a header"),)
    names_and_sizes = list(takewhile(_is_piece, said))
    ends = list(accumulate((length for _, length in names_and_sizes), initial=len(line)))
    pieces: dict[str, Segment] = {}
    for (name, _), start, end in zip(names_and_sizes, ends, ends[1:], strict=False):
        if end <= INT64_MAX:
            pieces.setdefault(name, Segment(name, path, start, end))
    # A file that is too short has a segment that is cut off, which its reader reports.
    if len(pieces) < len(said) or ends[-1] < size:
        return (*pieces.values(), _broken(path, "its header does not list its contents"))
    return tuple(pieces.values())


def _is_piece(said: Any) -> bool:
    """Whether this member of a header is the name of a segment, and its size."""
    match said:
        case [str(name), int(size)]:
            is_name = "/" not in name and "\0" not in name and len(name.encode("utf-8", "replace")) <= _MAX_NAME
            return is_name and writer_of(name) is not None and type(size) is int and 0 <= size <= INT64_MAX
    return False
