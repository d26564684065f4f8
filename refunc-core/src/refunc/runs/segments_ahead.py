"""
Reading the segments of a large run, with other processes that read ahead.

The processes read the segments in turn, and send the points of each as columns, which are joined here in the order of
the segments. A segment that a process does not deliver, because it died or could not be started, is read here; so is
one that is not plain, as after damage. So results do not depend on these processes.

A process that is ahead waits in its write, so each has one segment in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from refunc.journal.pieces import Segment, segments, writer_of
from refunc.runs.index.database import Damaged
from refunc.runs.reader_process import ask, serve, started
from refunc.runs.room import Room
from refunc.runs.sent import received, sent
from refunc.runs.writer_content import WriterContent

if TYPE_CHECKING:
    import subprocess

#: Bytes of segments for which starting a process is worthwhile.
_SHARE: Final = 32 << 20
#: Bytes of the largest segment that is read ahead; a writer begins the next one long before.
_LARGEST: Final = 64 << 20
#: Before each answer stand this mark, and its length in so many bytes.
_MARK: Final = b"content:"
_LENGTH: Final = 8


@contextmanager
def segments_ahead(
    folder: Path, wanted: Sequence[Segment], processes: int
) -> Iterator[Callable[[Segment], WriterContent | None]]:
    """
    Yield a function that returns the content of each of the segments *wanted*, in this order, if it was read ahead.

    Args:
        processes: The most processes that read ahead. None is started if the segments are not worth two of them.
    """
    sizes = {segment.name: _size(segment) for segment in wanted} if processes > 1 else {}
    names = [name for name, size in sizes.items() if 0 < size <= _LARGEST]
    count = min(processes, len(names), sum(sizes[name] for name in names) // _SHARE)
    count = count if count > 1 else 0
    with ExitStack() as stack:
        found = [stack.enter_context(started("refunc.runs.segments_ahead:serve_segments")) for _ in range(count)]
        of_segment = dict(zip(names, cycle(_Reader(process) for process in found if process is not None), strict=False))
        for name, reader in of_segment.items():
            reader.ask([str(folder), name])

        def content(segment: Segment) -> WriterContent | None:
            reader = of_segment.get(segment.name)
            return reader.answer() if reader is not None else None

        yield content


def _size(segment: Segment) -> int:
    try:
        return segment.size()
    except OSError:
        return 0


@attrs.define
class _Reader:
    """A process that reads ahead, and whose answers come in the order of the requests."""

    process: subprocess.Popen[bytes]
    _is_gone: bool = False

    def ask(self, request: list[str]) -> None:
        with suppress(OSError):  # it has ended, and has no answers
            ask(self.process, request)

    def answer(self) -> WriterContent | None:
        """Return the next content; None if the process has none for that segment, or has ended."""
        head = b"" if self._is_gone else self._read(len(_MARK) + _LENGTH)
        if not head.startswith(_MARK):  # something else wrote to its stdout, as a `sitecustomize` may
            self._is_gone = True
            return None
        length = int.from_bytes(head[len(_MARK) :], "big")
        try:
            return received(self._read(length)) if length else None
        except (msgspec.MsgspecError, Damaged):
            return None

    def _read(self, length: int) -> bytes | bytearray:
        """Return the next *length* bytes, or nothing if the process ends before."""
        assert self.process.stdout
        data = bytearray(length)
        view = memoryview(data)
        while view:
            count = self.process.stdout.readinto(view)  # type: ignore[attr-defined]  # it is not buffered
            if not count:
                return b""
            view = view[count:]
        return data


# -- the other process -------------------------------------------------------------------------------------------------


def serve_segments() -> None:
    """Answer each request, the folder of a run and the name of a segment, by its content."""
    serve(_content_of)


def _content_of(request: Any) -> tuple[bytes, bytes]:
    folder, name = request
    data = b""
    with suppress(Exception):  # the reader of the run gets the same error and counts it
        data = segment_content(_segments(folder)[name])
    return _MARK + len(data).to_bytes(_LENGTH, "big"), data


def segment_content(segment: Segment) -> bytes:
    """Return the content of *segment*, read as if it was its writer's first, as it is `sent`."""
    writer = writer_of(segment.name) or ""
    content = WriterContent()
    for _ in content.read_on(writer, [segment], Room()):
        pass
    return sent(writer, content)


@cache
def _segments(folder: str) -> dict[str, Segment]:
    """Return the segments of a run by name, as they were at the first request."""
    return {segment.name: segment for found in segments(Path(folder)).values() for segment in found}
