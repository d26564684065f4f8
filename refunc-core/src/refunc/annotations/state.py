"""The result of a run's changes: its tags, name and notes, and whether it is removed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import attrs

from refunc.annotations.change import Change


@attrs.frozen(kw_only=True)
class Note:
    """A note about a run. `id` takes it away again; `time` is in seconds since 1970."""

    id: str
    text: str
    time: float
    by: str | None = None


@attrs.frozen
class Annotations:
    """
    The annotations of a run: its `changes`, oldest first, and their result.

    Of two changes of one tag or of the name, the later one counts. `problem` says why the file could not be read; then
    there are no changes.
    """

    changes: tuple[Change, ...] = ()
    problem: str | None = None

    @cached_property
    def tags(self) -> dict[str, str | None]:
        """The tags that were changed later; None for one that was taken away."""
        found: dict[str, str | None] = {}
        for change in self.changes:
            found.update(change.tags)
        return found

    @cached_property
    def name(self) -> str | None:
        """The name that the run was given later; None if it has its own."""
        names = [change.name for change in self.changes if change.name is not None]
        return (names[-1] if names else "") or None

    @cached_property
    def notes(self) -> list[Note]:
        """The notes, oldest first."""
        gone = {each for change in self.changes for each in change.removed_notes}
        return [
            Note(id=change.id, text=change.note, time=change.time, by=change.by)
            for change in self.changes
            if change.note is not None and change.id not in gone
        ]

    @cached_property
    def removal(self) -> Change | None:
        """The change that marked the run as removed; None if it is not, or was restored."""
        marks = [change for change in self.changes if change.removed is not None]
        return marks[-1] if marks and marks[-1].removed else None

    def applied(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return the logged *tags* with these annotations applied."""
        found: dict[str, str | None] = {**tags, **self.tags}
        return {name: value for name, value in found.items() if value is not None}
