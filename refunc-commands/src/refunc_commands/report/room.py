"""The size of a report: all parts share one room, so that no run can exceed it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeVar

import attrs

from refunc.values.jsonable import spell_nonfinite

_Item = TypeVar("_Item")


def encoded(value: Any) -> str:
    """Return *value* as written in the page: JSON in ASCII without `<`, so that it cannot end its element."""
    return json.dumps(spell_nonfinite(value), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


@attrs.define
class Room:
    """Bytes that a report may still take."""

    left: int

    def kept(self, items: Iterable[_Item], most: int) -> list[_Item]:
        """Return *items* up to the first one that exceeds *most* bytes, or the bytes that are left."""
        found = []
        room = min(most, self.left)
        for item in items:
            size = len(encoded(item)) + 1
            if size > room:
                break
            room -= size
            self.left -= size
            found.append(item)
        return found
