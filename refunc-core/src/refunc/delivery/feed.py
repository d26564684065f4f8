"""What a run has for an integration: its birth, and windows of the records behind the cursor, down to the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from refunc.delivery.cursor import Cursor
from refunc.delivery.window import Call, Window, calls_of
from refunc.journal.file import is_locked
from refunc.journal.folder import RUN_JSON
from refunc.journal.kinds import CRASHED
from refunc.journal.record import Params, RunEnd, Tags
from refunc.journal.tail import Position, Tail
from refunc.plugins.run import RunInfo

WINDOW_RECORDS = 1_000

_RUN_FIELDS = ("run_id", "run_name", "experiment_id", "experiment_name", "parent_id", "attempt", "start_time")


class Feed:
    """A run, read onwards. Nothing in its folder is changed."""

    def __init__(self, folder: Path, positions: Mapping[str, Position]) -> None:
        self.folder = folder
        self._birth: dict[str, Any] | None = None
        self._tail = Tail(folder, positions)

    def is_made(self) -> bool:
        """Whether the run has its folder, with a record of its birth."""
        if self._birth is None:
            try:
                with open(self.folder / RUN_JSON, "rb") as file:
                    birth = json.loads(file.read(1 << 20))
            except (OSError, ValueError, RecursionError):  # not made yet, or no record of a birth
                return False
            self._birth = birth if isinstance(birth, dict) else {}
        return True

    @property
    def is_gone(self) -> bool:
        """Whether the run was made and its folder is there no more."""
        return self._birth is not None and not (self.folder / RUN_JSON).exists()

    @property
    def is_at_rest(self) -> bool:
        """Whether the process that opened the run has ended it, or is gone."""
        return is_locked(self.folder / RUN_JSON) is False

    @property
    def positions(self) -> dict[str, Position]:
        """Where reading stands."""
        return dict(self._tail.positions)

    def go_on_at(self, positions: Mapping[str, Position]) -> None:
        """Read on from *positions*, whatever was read before."""
        self._tail = Tail(self.folder, positions)

    def window(self, cursor: Cursor) -> Window:
        """
        Return the next window, or the run's end where no other record is left and that is not delivered yet.

        Of the records *cursor* learns the params and tags at once: hooks see them with the calls of the window.
        """
        records = self._tail.read(WINDOW_RECORDS)
        window = Window(calls_of(records), records)
        for record in window.others:
            match record:
                case Params():
                    cursor.params.update(record.params)
                case Tags():
                    cursor.tags.update(record.tags)
                case _:
                    pass
        if not records:
            return window if cursor.ended else self._end(cursor)
        if not cursor.started:
            window.calls.appendleft(Call("on_run_start", []))
        return window

    def _end(self, cursor: Cursor) -> Window:
        """Return the end that was read, or one for a run whose process is gone without; no call while it may go on."""
        end = cursor.end
        if end is None and self.is_at_rest and not self._tail.waiting():
            started = float((self._birth or {}).get("start_time", 0.0))
            died = max((path.stat().st_mtime for path in (self.folder / "journal").glob("*.jsonl")), default=started)
            end = {"status": CRASHED, "duration": max(0.0, died - started), "time": died}
        if end is None:
            return Window()
        end = {**end, "dropped": max(end.get("dropped", 0), cursor.dropped)}
        return Window([Call("on_run_end", [msgspec.convert(end, RunEnd)])])

    def run(self, cursor: Cursor) -> RunInfo:
        """Return the run as hooks see it where delivery is at *cursor*."""
        birth = self._birth or {}
        known = {name: birth[name] for name in _RUN_FIELDS if birth.get(name) is not None}
        return RunInfo(**known, params=dict(cursor.params), tags=dict(cursor.tags), folder=self.folder)
