"""One change of a run's annotations, with its author and its time."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from refunc.journal.codec import encodable
from refunc.values.names import new_id

#: The beginning of the year 10000: Python's calendar ends there.
_END_OF_TIME: Final = 253_402_300_799
_LONGEST_ID: Final = 64


@attrs.frozen(kw_only=True)
class Change:
    """
    One change: the members that are not None, or not empty, are those that it changed.

    `tags` has None for a tag that was taken away, and `name` is empty where the run got its own name back. A `note` is
    added, under the id of its change; `removed_notes` are such ids. `removed` is True for `refunc rm`, and False for
    `refunc restore`. `time` is in seconds since 1970, by the clock of the host.
    """

    id: str
    time: float
    by: str | None = None
    host: str | None = None
    tags: Mapping[str, str | None] = attrs.Factory(dict)
    name: str | None = None
    note: str | None = None
    removed_notes: tuple[str, ...] = ()
    removed: bool | None = None
    #: Members that a newer refunc has written; they are kept.
    more: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @classmethod
    def now(cls, **members: Any) -> Change:
        """Return a new change of this user."""
        return cls(id=new_id(), time=time.time(), by=_user(), host=platform.node() or None, **members)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, without the members that it does not have."""
        found = {
            "id": self.id,
            "time": self.time,
            "by": self.by,
            "host": self.host,
            "tags": dict(self.tags) or None,
            "name": self.name,
            "note": self.note,
            "removed_notes": list(self.removed_notes) or None,
            "removed": self.removed,
        }
        return {**{name: value for name, value in found.items() if value is not None}, **self.more}


_MEMBERS: Final = frozenset(field.name for field in attrs.fields(Change)) - {"more"}


def change_of(value: object) -> Change:
    """
    Return *value*, which was read from a file, as a change.

    Raises:
        ValueError: It is none; the text says why.
    """
    if not isinstance(value, dict):
        raise ValueError("a change is not an object")
    name = _text(value, "id")
    if not name or len(name) > _LONGEST_ID:
        raise ValueError("a change has no id")
    moment: Any = value.get("time")
    if type(moment) not in (int, float) or not abs(moment) < _END_OF_TIME:
        raise ValueError("a change has no valid time")
    removed = value.get("removed")
    if removed is not None and type(removed) is not bool:
        raise ValueError("`removed` of a change is not true or false")
    return Change(
        id=name,
        time=float(moment),
        **{member: _text(value, member) for member in ("by", "host", "name", "note")},
        tags=_tags(value.get("tags")),
        removed_notes=_ids(value.get("removed_notes")),
        removed=removed,
        more={member: each for member, each in value.items() if member not in _MEMBERS},
    )


def _text(value: Mapping[str, Any], name: str) -> str | None:
    found = value.get(name)
    if found is not None and type(found) is not str:
        raise ValueError(f"`{name}` of a change is not text")
    return encodable(found) if found is not None else None


def _tags(value: object) -> dict[str, str | None]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("`tags` of a change are not an object")
    if not all(tag is None or type(tag) is str for tag in value.values()):
        raise ValueError("a tag of a change is not text")
    return {encodable(name): encodable(tag) if tag is not None else None for name, tag in value.items()}


def _ids(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(type(each) is str for each in value):
        raise ValueError("`removed_notes` of a change are not ids")
    return tuple(value)


def without_superseded(changes: Iterable[Change]) -> list[Change]:
    """Return *changes* without those of which later ones have changed everything again."""
    kept: list[Change] = []
    tags: set[str] = set()
    members: set[str] = set()
    gone: set[str] = set()
    for change in reversed(list(changes)):
        own = {name for name in ("name", "removed") if getattr(change, name) is not None}
        is_note = change.note is not None and change.id not in gone
        if is_note or change.more or not (tags.issuperset(change.tags) and members >= own):
            kept.append(change if change.id not in gone else attrs.evolve(change, note=None))
        tags.update(change.tags)
        members |= own
        gone.update(change.removed_notes)
    return kept[::-1]


def _user() -> str | None:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        return None
