"""
Reading the segments of a large run, with other processes that read ahead.

The processes read the segments in turn, and send the points of each as columns, which are joined here in the order of
the segments. A segment that a process does not deliver, because it died, hangs or could not be started, is read here;
so is one that is not plain, as after damage. So results do not depend on these processes.

A process that is ahead waits in its write, so each has one segment in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import msgspec

from refunc.journal.pieces import Segment, segments, writer_of
from refunc.runs.index.database import Damaged
from refunc.runs.reader_process import serve, started
from refunc.runs.room import Room
from refunc.runs.sent import received, sent
from refunc.runs.writer_content import WriterContent

#: Bytes of segments for which starting a process is worthwhile.
_SHARE: Final = 32 << 20
#: Bytes of the largest segment that is read ahead; a writer begins the next one long before.
_LARGEST: Final = 64 << 20


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
        readers = [reader for reader in found if reader is not None]
        for number, reader in enumerate(readers):
            reader.ask([str(folder), names[number :: len(readers)]])
        of_segment = dict(zip(names, cycle(readers), strict=False))

        def content(segment: Segment) -> WriterContent | None:
            reader = of_segment.get(segment.name)
            answer = reader.answer() if reader is not None else None
            with suppress(msgspec.MsgspecError, Damaged):
                return received(answer) if answer else None
            return None

        yield content


def _size(segment: Segment) -> int:
    try:
        return segment.size()
    except OSError:
        return 0


# -- the other process -------------------------------------------------------------------------------------------------


def serve_segments(descriptor: str) -> None:
    """Answer the request, the folder of a run and the names of segments, by the content of each; empty if none."""
    serve(descriptor, _contents)


def _contents(request: Any) -> Iterator[bytes]:
    folder, names = request
    found = {segment.name: segment for pieces in segments(Path(folder)).values() for segment in pieces}
    for name in names:
        data = b""
        with suppress(Exception):  # the reader of the run gets the same error and counts it
            data = segment_content(found[name])
        yield data


def segment_content(segment: Segment) -> bytes:
    """Return the content of *segment*, read as if it was its writer's first, as it is `sent`."""
    writer = writer_of(segment.name) or ""
    content = WriterContent()
    for _ in content.read_on(writer, [segment], Room()):
        pass
    return sent(writer, content)
