"""
The annotations of a run, for trackers: tags, and the name, notes and mark as tags of refunc's own.

Annotations lie beside the journal, so no record has them. They are delivered after the run's end by the hook for tags,
again whenever they come to something else. Tags that were taken away are named, so that a tracker can forget them.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Final

import attrs

from refunc.annotations.file import data_of, parsed
from refunc.delivery.cursor import Cursor
from refunc.journal.codec import encodable

#: The tags for annotations that are not tags.
NAME: Final = "refunc.name"
NOTES: Final = "refunc.notes"
REMOVED: Final = "refunc.removed"


@attrs.frozen
class Said:
    """The annotations of a run as tags; `taken` are those that were taken away. `digest` is empty without any."""

    tags: dict[str, str] = attrs.Factory(dict)
    taken: tuple[str, ...] = ()
    digest: str = ""


def said_of(folder: Path) -> Said:
    """Return the state that the annotations of the run in *folder* come to. Raises NoDescriptorError."""
    data = data_of(folder)
    if data is None:
        return Said()
    annotations = parsed(data)
    changes = annotations.changes
    tags = {name: value for name, value in annotations.tags.items() if value is not None}
    taken = tuple(name for name, value in annotations.tags.items() if value is None)
    if any(change.name is not None for change in changes):
        tags[NAME] = annotations.name or ""
    if any(change.note is not None for change in changes):
        tags[NOTES] = "\n".join(note.text for note in annotations.notes)
    if any(change.removed is not None for change in changes):
        tags[REMOVED] = "yes" if annotations.removal is not None else "no"
    if not tags and not taken:
        return Said()
    tags = {encodable(name): encodable(value) for name, value in tags.items()}
    digest = sha256(json.dumps([tags, taken], sort_keys=True).encode("ascii")).hexdigest()[:16]
    return Said(tags, tuple(map(encodable, taken)), digest)


def is_owed(cursor: Cursor) -> bool:
    """Whether the run has ended for the integration of *cursor*, and its annotations are others than were delivered."""
    return cursor.ended and said_of(cursor.folder).digest != cursor.said
