"""The records of a run for an integration: its start, and windows of the records after the cursor, up to the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import msgspec

from refunc.delivery.cursor import Cursor
from refunc.delivery.said_later import said_of
from refunc.delivery.share import Share
from refunc.delivery.window import Call, Window, calls_of
from refunc.journal.alive import is_alive
from refunc.journal.birth import birth_in
from refunc.journal.codec import encodable
from refunc.journal.ends import end_of_all
from refunc.journal.folder import RUN_JSON
from refunc.journal.kinds import CRASHED
from refunc.journal.pieces import last_change
from refunc.journal.ranks import rank_files
from refunc.journal.record import Params, Record, RunEnd, Tags
from refunc.journal.tail import Position, Tail
from refunc.plugins.hooks import RUN_END, RUN_START, TAKERS
from refunc.plugins.run import RunInfo

WINDOW_RECORDS = 1_000

_RUN_FIELDS = ("run_id", "run_name", "experiment_id", "experiment_name", "parent_id", "start_time")


class Feed:
    """Reads a run incrementally. Nothing in its folder is changed."""

    def __init__(self, folder: Path, positions: Mapping[str, Position]) -> None:
        self.folder = folder
        self._birth: dict[str, Any] | None = None
        self._tail = Tail(folder, positions)
        self._share = Share(folder)

    def is_made(self) -> bool:
        """Whether the run's folder exists, with a record of its start."""
        if self._birth is None:
            try:
                self._birth = birth_in(self.folder)
            except (OSError, ValueError):  # not created yet, or without a record of its start
                return False
        return True

    @property
    def run_id(self) -> str:
        """The run's id, "" if `run.json` does not have it."""
        found = (self._birth or {}).get("run_id") if self.is_made() else None
        return found if isinstance(found, str) else ""

    @property
    def is_gone(self) -> bool:
        """Whether the run existed and its folder is gone."""
        return self._birth is not None and not (self.folder / RUN_JSON).exists()

    @property
    def is_at_rest(self) -> bool:
        """Whether the process that opened the run has ended it, or is gone."""
        return is_alive(self.folder) is False

    @property
    def has_more(self) -> bool:
        """Whether there is something left to read: further records, or the end of a run at rest."""
        return self._tail.waiting() > 0 or self.is_at_rest

    @property
    def positions(self) -> dict[str, Position]:
        """The positions up to which it was read."""
        return dict(self._tail.positions)

    def go_on_at(self, positions: Mapping[str, Position]) -> None:
        """Continue reading at *positions*, instead of the current ones."""
        self._tail = Tail(self.folder, positions)

    def window(self, cursor: Cursor) -> Window:
        """
        Return the next window, or the run's end if no other record is left and it is not delivered yet.

        Params and tags of the records are added to *cursor* at once: hooks see them with the calls of the window.
        """
        self._share.look()
        if self._share.attempt > cursor.attempt:
            self._begin_attempt(cursor)
        read = self._tail.read(WINDOW_RECORDS)
        records = self._shared(read, cursor) if self._share.is_shared else read
        window = Window(calls_of(records), records, has_records=bool(read))
        for record in window.others:
            match record:
                case Params():
                    cursor.params.update(record.params)
                case Tags():
                    cursor.tags.update(record.tags)
                case _:
                    pass
        if not read:
            return self._said_later(cursor) if cursor.ended else self._end(cursor)
        if not cursor.started:
            window.calls.appendleft(Call(RUN_START, []))
        return window

    def _shared(self, records: list[Record], cursor: Cursor) -> list[Record]:
        """Return the records that are delivered, of a run of several processes; their ends are kept for its own."""
        for record in records:
            if isinstance(record, RunEnd):
                cursor.ends[record.writer] = attrs.asdict(record)
                cursor.ended = False  # of a rank that came when all others had ended: the run's end may be another now
        return self._share.admitted([record for record in records if not isinstance(record, RunEnd)])

    def _begin_attempt(self, cursor: Cursor) -> None:
        """Go on with a run that is continued, also if its end was delivered."""
        cursor.attempt = self._share.attempt
        cursor.started = cursor.ended = False
        cursor.end = None

    def _end(self, cursor: Cursor) -> Window:
        """Return the end that was read, or a made one if the run's process is gone; no call while it may continue."""
        end = cursor.end
        if end is None and self._share.is_shared and self.is_at_rest:
            found = [msgspec.convert(fields, RunEnd) for fields in cursor.ends.values()]
            joined = end_of_all(rank_files(self.folder), found)
            end = attrs.asdict(joined) if joined is not None else None
        if end is None and self.is_at_rest and not self._tail.waiting():
            started = float((self._birth or {}).get("start_time", 0.0))
            died = last_change(self.folder) or started
            end = {"status": CRASHED, "duration": max(0.0, died - started), "time": died}
        if end is None:
            return Window()
        end = {**end, "dropped": max(end.get("dropped", 0), cursor.dropped)}
        return Window([Call(RUN_END, [msgspec.convert(end, RunEnd)])])

    def _said_later(self, cursor: Cursor) -> Window:
        """Return the annotations of a run that has ended, if they are not delivered yet."""
        said = said_of(self.folder)
        if said.digest == cursor.said:
            return Window()
        cursor.tags.update(said.tags)
        for name in said.taken:
            cursor.tags.pop(name, None)
        return Window(
            [Call(TAKERS[Tags], [Tags(time=time.time(), tags=said.tags, taken=said.taken)], said=said.digest)]
        )

    def run(self, cursor: Cursor) -> RunInfo:
        """Return the run as hooks see it when delivery is at *cursor*."""
        birth = self._birth or {}
        known = {name: birth[name] for name in _RUN_FIELDS if birth.get(name) is not None}
        for name in ("run_name", "experiment_name"):  # texts of the user, in which run.json may have a lone surrogate
            if isinstance(known.get(name), str):
                known[name] = encodable(known[name])
        known["attempt"] = cursor.attempt
        return RunInfo(**known, params=dict(cursor.params), tags=dict(cursor.tags), folder=self.folder)
