"""
The records in a writer's lines: each line becomes a record, or counts in the account of all else.

Every reader uses this, so all agree on the records, also of damaged files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from refunc.journal import kinds
from refunc.journal.codec import decode_line
from refunc.journal.codec_many import decode_metrics
from refunc.journal.numbers import Numbers
from refunc.journal.record import Gap, Record, record_of
from refunc.journal.segments import Account
from refunc.values.jsonable import INT64_MAX


@attrs.define
class Intake:
    """
    The records in one writer's lines, from all its segments, each once, and an account of the rest.

    `logger` is the logger of records that do not name one; it comes from the header of their segment.
    """

    writer: str
    logger: str = ""
    numbers: Numbers = attrs.Factory(Numbers)
    account: Account = attrs.Factory(Account)

    def record(self, line: bytes) -> Record | None:
        """Return the record in *line*; None if there is none, or it was read before."""
        fields = decode_line(line)
        if fields is None:
            self.account.damaged += 1
            return None
        if fields.get("kind") == kinds.SEGMENT:
            self.logger = str(fields.get("logger", ""))
            return None
        record = record_in(fields, self.writer, self.logger)
        if record is None:
            self.account.damaged += 1
            return None
        if not self.numbers.take(record.seq):
            self.account.duplicates += 1
            return None
        if isinstance(record, Gap):
            self.account.dropped += record.dropped
        return record

    def earlier_metrics(self, lines: list[bytes]) -> Iterator[Record]:
        """Yield the records in *lines*, a run of metrics from `runs_of`, like `earlier_records`."""
        records = decode_metrics(lines, self.writer, self.logger)
        if records is None or not all(0 <= record.seq <= INT64_MAX for record in records):
            yield from self.earlier_records(lines)
            return
        for record in records:
            if self.numbers.take(-record.seq):
                yield record

    def earlier_records(self, lines: list[bytes]) -> Iterator[Record]:
        """Yield the records in *lines* when reading backwards, where lines are not counted."""
        for line in lines:
            record = self.earlier_record(line)
            if record is not None:
                yield record

    def earlier_record(self, line: bytes) -> Record | None:
        """Return the record in *line* when reading backwards."""
        fields = decode_line(line)
        if fields is None or fields.get("kind") == kinds.SEGMENT:
            return None
        record = record_in(fields, self.writer, self.logger)
        # Negated, numbers rise backwards too.
        return record if record is not None and self.numbers.take(-record.seq) else None


def record_in(fields: dict[str, Any], writer: str, logger: str) -> Record | None:
    """Return the record in a decoded line of *writer*, in a segment whose lines come from *logger* by default."""
    fields["writer"] = writer
    fields.setdefault("logger", logger)
    record = record_of(fields)
    # A writer counts from 0, and without a number it is unknown whether a record was read before.
    return record if record is not None and 0 <= record.seq <= INT64_MAX else None
