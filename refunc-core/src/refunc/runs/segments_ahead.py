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
#: The bytes of the length before each answer.
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
    with ExitStack() as stack:
        found = [stack.enter_context(started("refunc.runs.segments_ahead:serve_segments")) for _ in range(count)]
        readers = [process for process in found if process is not None] if count > 1 else []
        of_segment = dict(zip(names, cycle(readers), strict=False))
        for name, process in of_segment.items():
            with suppress(OSError):  # it has ended; so does its answer
                ask(process, [str(folder), name])

        def content(segment: Segment) -> WriterContent | None:
            process = of_segment.get(segment.name)
            return _answer(process) if process is not None else None

        yield content


def _size(segment: Segment) -> int:
    try:
        return segment.size()
    except OSError:
        return 0


def _answer(process: subprocess.Popen[bytes]) -> WriterContent | None:
    """Return the content that *process* sends next; None if it has none for that segment, or has ended."""
    length = int.from_bytes(_read(process, _LENGTH), "big")
    try:
        return received(_read(process, length)) if length else None
    except (msgspec.MsgspecError, Damaged):
        return None


def _read(process: subprocess.Popen[bytes], length: int) -> bytearray:
    """Return the next *length* bytes of its answers; none of them if it ends before."""
    assert process.stdout
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = process.stdout.readinto(view)  # type: ignore[attr-defined]  # it is not buffered
        if not count:
            return bytearray()
        view = view[count:]
    return data


# -- the other process -------------------------------------------------------------------------------------------------


def serve_segments() -> None:
    """Answer each request, the folder of a run and the name of a segment, by its content."""
    serve(_content_of)


def _content_of(request: Any) -> bytes:
    folder, name = request
    data = b""
    with suppress(Exception):  # the reader of the run gets the same error and counts it
        writer = writer_of(name) or ""
        content = WriterContent()
        for _ in content.read_on(writer, [_segments(folder)[name]], Room()):
            pass
        data = sent(writer, content)
    return len(data).to_bytes(_LENGTH, "big") + data


@cache
def _segments(folder: str) -> dict[str, Segment]:
    """Return the segments of a run by name, as they were at the first request."""
    return {segment.name: segment for found in segments(Path(folder)).values() for segment in found}
