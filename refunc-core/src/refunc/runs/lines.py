"""
The log lines of a run by number, for pages of them: any page costs the same, wherever it lies in the run.

One pass over the journal, which leaves out metrics at a fraction of the cost of decoding them, notes where each line
stands; later passes read new lines only. A page then reads the lines that it shows, or searches.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from refunc.journal.codec import decode_line
from refunc.journal.intake import Intake, record_in
from refunc.journal.numbers import Numbers
from refunc.journal.pieces import Segment, segments
from refunc.journal.reader import METRICS_MARK
from refunc.journal.record import Record
from refunc.journal.roles import role_of
from refunc.journal.segments import Account, SegmentLines, logger_of
from refunc.runs.entry import LogEntry, entry_of
from refunc.runs.line_rows import Row, by_time, rows_of

#: The most lines that are kept in mind; of a run with more, the newest ones.
MOST_LINES: Final = 500_000
_BLOCK_BYTES: Final = 1 << 18
#: Lines that are read at once, and the seconds after which a search stops and says how far it got.
_BATCH: Final = 500
_PATIENCE: Final = 0.5


@attrs.frozen
class Line:
    """One line with its number: the first of a run is 0."""

    number: int
    entry: LogEntry


@attrs.frozen
class LinePage:
    """
    Lines in the order in which they were written.

    `before` and `after` are the numbers from which further pages go on, None where there are no more lines. A search
    that took too long has `searched_to`: the number from which it goes on, in the same direction.
    """

    lines: list[Line]
    before: int | None
    after: int | None
    searched_to: int | None = None


@attrs.define
class _Writer:
    segment: str = ""
    offset: int = 0
    intake: Intake | None = None


@attrs.frozen(kw_only=True)
class LineFilter:
    """Which lines are wanted: from a level on, of a rank, with a text in them, ignoring case."""

    level: int = 0
    rank: int | None = None
    text: str = ""

    def is_in(self, entry: LogEntry) -> bool:
        """Whether the message or the traceback of *entry* has the text."""
        extra = entry.extra
        searched = f"{entry.message}\n{extra.get('exception') or ''}\n{extra.get('stack') or ''}"
        return self.text.lower() in searched.lower()


_ALL: Final = LineFilter()


class RunLines:
    """The lines of one run. It is for one thread at a time."""

    def __init__(self, folder: Path, *, experiment_id: str | None = None, run_id: str | None = None) -> None:
        """Nothing is read before `read_on`."""
        self.folder = folder
        self._ids = {"experiment_id": experiment_id, "run_id": run_id}
        self._writers: dict[str, _Writer] = {}
        #: The writers and names of the segments that lines stand in, and where each segment is now.
        self._segment_names: list[tuple[str, str]] = []
        self._segments: dict[tuple[str, str], Segment] = {}
        #: The logger of lines that do not name one, by the number of their segment in `_segment_names`.
        self._loggers: dict[int, str] = {}
        #: The number of the first line that is kept in mind.
        self._first = 0
        self._times, self._steps = array("d"), array("d")
        self._offsets, self._lengths, self._in = array("q"), array("q"), array("q")
        self._levels = array("B")

    def __len__(self) -> int:
        return self._first + len(self._times)

    def read_on(self) -> None:
        """
        Take notice of the lines that were written since.

        Raises:
            OSError: The segments cannot be listed.
        """
        found: list[list[Row]] = []
        now = segments(self.folder)
        self._segments = {(writer, piece.name): piece for writer, pieces in now.items() for piece in pieces}
        for writer, pieces in now.items():
            if new := list(self._new_of(writer, pieces)):
                found.append(new)
        rows = found[0] if len(found) == 1 else by_time(found)
        if rows:
            times, steps, levels, offsets, lengths, numbers = zip(*rows, strict=True)
            self._times.extend(times)
            self._steps.extend(steps)
            self._levels.extend(levels)
            self._offsets.extend(offsets)
            self._lengths.extend(lengths)
            self._in.extend(numbers)
        self._forget()

    def _new_of(self, writer: str, pieces: list[Segment]) -> Iterator[Row]:
        state = self._writers.setdefault(writer, _Writer())
        for segment in pieces:
            if segment.name < state.segment:
                continue
            if segment.name != state.segment or state.intake is None:
                numbers = state.intake.numbers if state.intake is not None else Numbers()
                state.intake = Intake(writer, numbers=numbers)
                state.segment, state.offset = segment.name, 0
            number = self._number_of(writer, segment.name)
            lines = SegmentLines(segment, state.offset, Account(), _BLOCK_BYTES, METRICS_MARK)
            try:
                for block in lines:
                    yield from rows_of(block, lines.begin, number, state.intake)
                    state.offset = lines.offset
            except OSError:  # one file that cannot be read must not hide the others
                pass
            state.offset = lines.offset

    def _number_of(self, writer: str, name: str) -> int:
        if (writer, name) not in self._segment_names[-1:]:
            if (writer, name) in self._segment_names:
                return self._segment_names.index((writer, name))
            self._segment_names.append((writer, name))
        return len(self._segment_names) - 1

    def _forget(self) -> None:
        """Forget the oldest lines, if there are too many."""
        beyond = len(self._times) - MOST_LINES
        if beyond > 0:
            beyond += MOST_LINES // 10
            for column in (self._times, self._steps, self._levels, self._offsets, self._lengths, self._in):
                del column[:beyond]
            self._first += beyond

    # -- pages -------------------------------------------------------------------------------------------------------

    def newest(self, limit: int, wanted: LineFilter = _ALL) -> LinePage:
        """Return the last *limit* lines."""
        return self.before(len(self), limit, wanted)

    def before(self, number: int, limit: int, wanted: LineFilter = _ALL) -> LinePage:
        """Return the last *limit* lines before the one with this *number*."""
        found, reached = self._found(range(min(number, len(self)) - 1, self._first - 1, -1), limit, wanted)
        found.reverse()
        first = found[0].number if found else reached + 1
        is_done = reached < self._first
        searched = reached + 1 if not is_done and len(found) < limit else None
        return LinePage(found, None if is_done else first, self._after(found, number - 1), searched)

    def after(self, number: int, limit: int, wanted: LineFilter = _ALL) -> LinePage:
        """Return the first *limit* lines after the one with this *number*."""
        begin = max(number + 1, self._first)
        found, reached = self._found(range(begin, len(self)), limit, wanted)
        is_done = reached >= len(self)
        searched = reached - 1 if not is_done and len(found) < limit else None
        last = found[-1].number if found else reached - 1
        return LinePage(found, begin if begin > self._first else None, None if is_done else last, searched)

    def around(self, number: int, limit: int, wanted: LineFilter = _ALL) -> LinePage:
        """Return lines before and after the one with this *number*, which is among them if it is wanted."""
        before = self.before(number, limit // 2, wanted)
        after = self.after(number - 1, limit - len(before.lines), wanted)
        return LinePage([*before.lines, *after.lines], before.before, after.after, after.searched_to)

    def at_time(self, moment: float) -> int:
        """Return the number of the first line that was written at *moment*, in seconds since 1970, or later."""
        return self._first_where(self._times, moment)

    def at_step(self, step: float) -> int | None:
        """Return the number of the first line at *step* or beyond; None if no line has a step."""
        if all(map(math.isnan, self._steps)):
            return None
        return self._first_where(self._steps, step)

    def _first_where(self, column: array[float], least: float) -> int:
        at = next((at for at, value in enumerate(column) if value >= least), len(column))
        return self._first + at

    def _after(self, found: list[Line], number: int) -> int | None:
        last = found[-1].number if found else number
        return last if last < len(self) - 1 else None

    def _found(self, numbers: range, limit: int, wanted: LineFilter) -> tuple[list[Line], int]:
        """Return lines in the order of *numbers*, and the number at which it stopped."""
        until = time.monotonic() + _PATIENCE
        found: list[Line] = []
        raw = _searched_in_bytes(wanted.text)
        for begin in range(0, len(numbers), _BATCH):
            batch = [number for number in numbers[begin : begin + _BATCH] if self._may_be(number, wanted)]
            if not wanted.text:
                batch = batch[: limit - len(found)]
            for number, entry in self._entries(batch, raw):
                if entry is not None and (not wanted.text or wanted.is_in(entry)):
                    found.append(Line(number, entry))
                    if len(found) >= limit:
                        return found, number + numbers.step
            if begin + _BATCH < len(numbers) and time.monotonic() > until:
                return found, numbers[begin + _BATCH]
        return found, numbers.stop

    def _may_be(self, number: int, wanted: LineFilter) -> bool:
        at = number - self._first
        if self._levels[at] < wanted.level:
            return False
        return wanted.rank is None or (role_of(self._segment_names[self._in[at]][0]).rank or 0) == wanted.rank

    def _entries(self, numbers: Sequence[int], raw: Callable[[bytes], bool]) -> Iterator[tuple[int, LogEntry | None]]:
        """Yield the entry of each line; None if it cannot be read any more, or *raw* says that it is not wanted."""
        for number, (segment_number, data) in zip(numbers, self._read(numbers), strict=True):
            record = self._record(segment_number, data) if data and raw(data) else None
            yield number, entry_of(record, **self._ids) if record is not None else None

    def _record(self, segment_number: int, data: bytes) -> Record | None:
        writer = self._segment_names[segment_number][0]
        if segment_number not in self._loggers:
            segment = self._segments.get(self._segment_names[segment_number])
            self._loggers[segment_number] = logger_of(segment) if segment is not None else ""
        fields = decode_line(data)
        return record_in(fields, writer, self._loggers[segment_number]) if fields is not None else None

    def _read(self, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        found: dict[int, tuple[int, bytes]] = {}
        lines_in: dict[int, list[int]] = {}
        for number in numbers:
            lines_in.setdefault(self._in[number - self._first], []).append(number)
        for segment_number, those in lines_in.items():
            segment = self._segments.get(self._segment_names[segment_number])
            try:
                if segment is None:
                    raise FileNotFoundError
                with segment.opened() as file:
                    for number in those:
                        at = number - self._first
                        found[number] = segment_number, file.read(self._offsets[at], self._lengths[at])
            except OSError:  # removed, or folded meanwhile
                found.update({number: (segment_number, b"") for number in those if number not in found})
        return [found[number] for number in numbers]


def _searched_in_bytes(text: str) -> Callable[[bytes], bool]:
    """Return whether a line may have *text*: where JSON spells it as it is, the line need not be decoded to say no."""
    if text and text.isascii() and text.replace(" ", "").replace("_", "").isalnum():
        searched = text.lower().encode()
        return lambda data: searched in data.lower()
    return lambda data: True
