"""The content of a writer together with its points, as bytes that one process sends to another."""

from __future__ import annotations

from array import array
from typing import Any

import attrs
import msgspec

from refunc.journal.stretches import Found
from refunc.runs.column import form_of
from refunc.runs.columns import RowGroup
from refunc.runs.index.writer_row import WriterRow
from refunc.runs.writer_content import WriterContent


@attrs.frozen
class _Columns:
    """The points of one group: the bytes of the columns, and the types of steps and epochs."""

    first: int | None  # the number of the first row, if they follow each other
    rows: memoryview
    forms: str
    steps: memoryview
    times: memoryview
    epochs: memoryview
    values: list[memoryview]
    stepless: bool

    @classmethod
    def of(cls, group: RowGroup) -> _Columns:
        first, numbers = (group.rows.start, array("q")) if isinstance(group.rows, range) else (None, group.rows)
        columns = (numbers, group.steps, group.times, group.epochs, *group.values)
        rows, steps, times, epochs, *values = (memoryview(column).cast("B") for column in columns)
        forms = form_of(group.steps) + form_of(group.epochs)
        return cls(first, rows, forms, steps, times, epochs, values, group.stepless)

    def group(self, names: list[str]) -> RowGroup:
        times = _column("d", self.times)
        return RowGroup(
            tuple(names),
            rows=_column("q", self.rows) if self.first is None else range(self.first, self.first + len(times)),
            steps=_column(self.forms[0], self.steps),
            times=times,
            epochs=_column(self.forms[1], self.epochs),
            values=[_column("d", column) for column in self.values],
            stepless=self.stepless,
        )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[WriterRow, list[_Columns], list[tuple[int, int]]]).decode


def sent(writer: str, content: WriterContent) -> bytes:
    """Return the *content* of one segment of *writer*, which has all of its points in memory."""
    columns = [_Columns.of(group) for group in content.columns.groups.values()]
    stretches = content.position.stretches.get(content.position.segment, Found())
    return _encode((WriterRow.of(writer, content, {}), columns, stretches.pairs))


def received(data: bytes | bytearray) -> WriterContent:
    """
    Return the content that was `sent`.

    Raises:
        Damaged, msgspec.MsgspecError: *data* is something else.
    """
    row, columns, stretches = _decode(data)
    content = row.content()
    content.position.stretches[row.segment] = Found(stretches)
    found = [each.group(names) for each, (names, _) in zip(columns, row.groups, strict=True)]
    content.columns.groups = {group.names: group for group in found}
    return content


def _column(form: str, data: memoryview) -> Any:
    column: Any = array(form)
    column.frombytes(data)
    return column
