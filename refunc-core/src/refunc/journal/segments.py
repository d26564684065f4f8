"""
The lines of a segment: its bytes become whole lines, forwards or backwards. Every reader takes them from here;
`intake` makes records of them.

A line ends with a newline; the bytes after the last one are *torn*, and not written yet. A line is damaged if it has
`MAX_LINE_BYTES` or more, or a zero byte, as in a hole. It is skipped, however long it is, and the lines after its
newline are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import attrs

from refunc.journal import kinds
from refunc.journal.codec import MAX_LINE_BYTES, decode_line
from refunc.journal.holes import NUL, data_before
from refunc.journal.pieces import Segment, Slice
from refunc.journal.stretches import Stretches, first_after, last_before

#: The most that is read at once of a line that began in an earlier block: the earlier part is copied each time.
_MAX_BLOCK_BYTES = 4 << 20
#: Bytes that are read at a time to skip a line, to count lines, or to find the end.
_LARGE_BLOCK_BYTES = 1 << 20
#: The beginning of the member that each line of refunc has once, outside of its texts.
_KIND = b'"kind":"'
#: Bytes that hold the first line of nearly every segment.
_HEADER_BYTES = 4_096


@attrs.define
class Account:
    """Counts of everything besides records that a reader found. All are 0 for a whole journal."""

    torn: int = 0  # unfinished lines at the end of a segment
    damaged: int = 0  # lines that fail their checksum, and files that cannot be read
    missing: int = 0  # sequence numbers without a line
    dropped: int = 0  # records that the writer reported as dropped
    duplicates: int = 0  # lines written twice after a disk error; each record is read once

    def __add__(self, other: Account) -> Account:
        """Return both accounts as one."""
        return Account(*(getattr(self, field.name) + getattr(other, field.name) for field in attrs.fields(Account)))


class SegmentLines:
    """
    The whole lines of a segment from an offset on, without their newlines, a block at a time.

    Between two blocks no file is open. Another object can go on later at this one's `offset`.
    """

    def __init__(
        self,
        segment: Segment,
        offset: int,
        account: Account,
        size: int,
        pass_over: bytes | None = None,
        stretches: Stretches = (),
    ) -> None:
        """
        Args:
            offset: The start: 0, or another object's `offset`.
            account: Counts each line that is skipped.
            size: Bytes that are read at a time; more for a longer line.
            pass_over: The mark of a kind: blocks that have lines of this kind only are left out.
            stretches: Ranges that are left out without being read.
        """
        self._segment, self._account, self._size, self._pass_over = segment, account, size, pass_over
        self._stretches = stretches
        #: The start and end of the lines that were yielded last.
        self.begin = self.offset = offset
        #: The bytes after `offset`, which are not a line yet: "torn", or "long" if they are damaged already.
        self.unfinished = ""

    def __iter__(self) -> Iterator[list[bytes]]:
        """
        Yield the lines of each block.

        Raises:
            OSError: The segment cannot be read, or is cut off; the lines before that were yielded.
            NoDescriptorError: Too many files are open.
        """
        size, is_first = self._size, True
        while True:
            with self._segment.opened() as file:
                if is_first and not self._is_at_a_line(file):
                    return
                is_first = False
                wanted = min(size, self._before_stretch(file.size) or size)
                block = file.read(self.offset, wanted)
                end = block.rfind(b"\n") + 1
                is_last = len(block) < wanted or self.offset + len(block) >= file.size
                if not end:
                    if wanted < size and not is_last:  # the stretches are of another file
                        self._stretches = ()
                    elif not self._goes_on(file, block, is_last):
                        return
                    elif len(block) < MAX_LINE_BYTES and NUL not in block:
                        size = min(4 * size, MAX_LINE_BYTES)
                    continue
            size = self._size
            if self._pass_over is not None and has_only(block, end, self._pass_over):
                self.begin, self.offset = self.offset, self.offset + end
            else:
                yield from self._given(block[: end - 1].split(b"\n"), end)
            if is_last and end == len(block) and not file.is_cut:
                return

    def _is_at_a_line(self, file: Slice) -> bool:
        """Whether a line begins at the offset: an earlier reading may have stopped within one that was too long."""
        is_within = self.offset > 0 and file.read(self.offset - 1, 1) not in (b"\n", b"")
        return not is_within or self._pass_line(file, self.offset)

    def _goes_on(self, file: Slice, block: bytes, is_last: bool) -> bool:
        """Whether there is more after *block*, in which no line ends; skips a damaged line. Raises OSError."""
        is_long = len(block) >= MAX_LINE_BYTES
        if is_long or (NUL in block and not is_last):
            return self._pass_line(file, self.offset + len(block), is_long=is_long)
        if is_last:
            self.unfinished = ("long" if NUL in block else "torn") if block else ""
            file.check_whole()
        return not is_last

    def _before_stretch(self, size: int) -> int:
        """
        Pass over a stretch at the offset, of a file with *size* bytes.

        Returns the number of bytes before the next stretch; 0 if there is none.
        """
        while (stretch := first_after(self._stretches, self.offset)) is not None and stretch[1] <= size:
            if self.offset < stretch[0]:
                return stretch[0] - self.offset
            self.begin = self.offset = stretch[1]
        return 0

    def _given(self, lines: list[bytes], size: int) -> Iterator[list[bytes]]:
        """Yield *lines*, *size* bytes with their newlines, except those that are too long."""
        if size <= MAX_LINE_BYTES:
            self.begin, self.offset = self.offset, self.offset + size
            yield lines
            return
        for is_too_long, run in groupby(lines, lambda line: len(line) >= MAX_LINE_BYTES):
            some = list(run)
            self.begin, self.offset = self.offset, self.offset + sum(map(len, some)) + len(some)
            if is_too_long:
                self._account.damaged += len(some)
            else:
                yield some

    def _pass_line(self, file: Slice, offset: int, *, is_long: bool = True) -> bool:
        """Skip the line at *offset*; False if it has no end yet. Raises OSError."""
        while (begin := file.data_from(offset)) is not None and (block := file.read(begin, _LARGE_BLOCK_BYTES)):
            end = block.find(b"\n") + 1
            if end:
                self._account.damaged += 1
                self.offset = begin + end
                return True
            offset = begin + len(block)
        self.unfinished = "long"
        if is_long:  # it is damaged in any case, so it is not read again
            self.offset = max(offset, file.size)
        file.check_whole()
        return False


def has_only(block: bytes, end: int, mark: bytes) -> bool:
    """
    Whether all lines in the first *end* bytes of *block* are of the kind with this *mark*.

    Three counts are a fourth of the cost of splitting the block and looking at each line. Each line that refunc wrote
    has its kind, and any quote within a text has a backslash before it.
    """
    lines = block.count(b"\n", 0, end)
    return block.count(mark, 0, end) == lines and block.count(_KIND, 0, end) == lines


def lines_backwards(
    segment: Segment,
    failures: list[OSError],
    size: int,
    pass_over: bytes | None = None,
    stretches: Stretches = (),
) -> Iterator[bytes]:
    """
    Yield the whole lines of *segment*, last first. Between two blocks of it no file is open.

    Args:
        failures: Filled with the errors of the segment, or of a part of it.
        size: Bytes that are read at a time.
        pass_over: See `SegmentLines`.
        stretches: See `SegmentLines`.
    """
    position, tail = -1, b""
    pieces: list[tuple[int, int]] = []
    try:
        while position:
            with segment.opened() as file:
                if position < 0:
                    position = file.size
                    failures += _fault_of(file)
                    if stretches and stretches[-1][1] > position:  # they are of another file
                        stretches = ()
                stretch = last_before(stretches, position)
                if stretch is not None and stretch[1] >= position:
                    if tail.endswith(b"\n"):
                        yield tail[:-1]
                    position, tail = stretch[0], b""
                    continue
                wanted = min(max(size, len(tail)), _MAX_BLOCK_BYTES, position - (stretch[1] if stretch else 0))
                position -= wanted
                block = file.read(position, wanted)
                has_hole = NUL in block
                pieces = pieces or file.extents() if has_hole else pieces
            lines, tail = _split_backwards(block + tail, pass_over)
            yield from lines
            if has_hole and (before := data_before(pieces, position)) < position:
                position, tail = before, b""
        if tail.endswith(b"\n"):
            yield tail[:-1]
    except OSError as error:  # one file that cannot be read must not hide the others
        failures.append(error)


def _split_backwards(text: bytes, pass_over: bytes | None) -> tuple[list[bytes], bytes]:
    """Return the whole lines in *text*, last first, and its beginning: the end of a line, or a piece of one."""
    first = text.find(b"\n") + 1
    if first and pass_over is not None and has_only(text[first:], text.rfind(b"\n") + 1 - first, pass_over):
        lines, tail = [], text[:first]
    else:
        head, *whole = text.split(b"\n")
        # The last piece is after the last newline: empty, or a line that is torn or was yielded already.
        lines = [line for line in reversed(whole[:-1]) if len(line) < MAX_LINE_BYTES]
        tail = head + b"\n" if whole else head
    # Without a line of ours that is so long, the remaining bytes are dropped like a torn line.
    return lines, tail if len(tail) <= MAX_LINE_BYTES else b""


def _fault_of(file: Slice) -> list[OSError]:
    try:
        file.check_whole()
    except OSError as error:
        return [error]
    return []


def end_of_lines(segment: Segment) -> int:
    """Return the offset after the last whole line of *segment*. Raises OSError."""
    with segment.opened() as file:
        position = file.size
        pieces: list[tuple[int, int]] | None = None
        while position > 0:
            start = max(0, position - _LARGE_BLOCK_BYTES)
            block = file.read(start, position - start)
            end = block.rfind(b"\n") + 1
            if end:
                return start + end
            position = start
            if NUL in block:
                pieces = file.extents() if pieces is None else pieces
                position = data_before(pieces, position)
    return 0


def count_lines(segment: Segment, offset: int) -> int:
    """Return how many lines end in *segment* after *offset*. Raises OSError."""
    count = 0
    with segment.opened() as file:
        while (begin := file.data_from(offset)) is not None:
            block = file.read(begin, _LARGE_BLOCK_BYTES)
            if not block:
                break
            count += block.count(b"\n")
            offset = begin + len(block)
    return count


def header_of(segment: Segment) -> dict[str, Any]:
    """Return the members of the first line of *segment*; none if it is not a header. Raises OSError."""
    lines = SegmentLines(segment, 0, Account(), _HEADER_BYTES)
    first = next(iter(lines), None)
    fields = decode_line(first[0]) if first is not None and lines.begin == 0 else None
    return fields if fields is not None and fields.get("kind") == kinds.SEGMENT else {}


def logger_of(segment: Segment) -> str:
    """Return the logger of lines of *segment* that do not name one, from its header."""
    try:
        return str(header_of(segment).get("logger", ""))
    except OSError:
        return ""
