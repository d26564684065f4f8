"""The number of records after a cursor, counted as lines of segments."""

from __future__ import annotations

from refunc.delivery.cursor import Cursor
from refunc.journal.alive import is_alive
from refunc.journal.tail import Tail
from refunc.plugins.integration import Health


def health_at(cursor: Cursor) -> Health:
    """Return the progress of delivery at *cursor*; counts the waiting lines."""
    return cursor.health(_lines_behind(cursor))


def is_done_at(cursor: Cursor) -> bool:
    """Whether the run's end is delivered, and no line comes after *cursor*."""
    return cursor.ended and _lines_behind(cursor) == 0


def waits_for_others(cursor: Cursor) -> bool:
    """Whether all is delivered but the end, which comes when the last rank has ended: no rank waits for that."""
    return bool(cursor.ends) and _lines_behind(cursor) == 0 and is_alive(cursor.folder) is True


def _lines_behind(cursor: Cursor) -> int:
    return Tail(cursor.folder, cursor.positions).waiting()
