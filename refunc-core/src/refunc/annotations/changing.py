"""The functions that change the annotations of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from refunc.annotations import replaced
from refunc.annotations.change import Change
from refunc.annotations.state import Annotations
from refunc.journal.codec import encodable
from refunc.values.texts import short_repr, text_of

_LONGEST_NAME: Final = 1_000
_LONGEST_TAG: Final = 10_000
_LONGEST_NOTE: Final = 50_000


class InFolder(Protocol):
    """Anything with a run's folder."""

    @property
    def folder(self) -> Path | None:
        """The folder of the run."""
        ...


#: A `Run`, a tracker, or the path of a run's folder.
AnyRun = InFolder | str | os.PathLike[str]


def annotate(
    run: AnyRun,
    *,
    tags: Mapping[str, Any] | None = None,
    note: str | None = None,
    name: str | None = None,
    remove_notes: Iterable[str] = (),
) -> Annotations:
    """
    Change the tags, notes and the name of *run*, which may be running in any process. Its journal stays as it is.

    All of it is one change: made wholly or not at all, on disk when the call returns. If it changes nothing, nothing
    is written. Changes by several processes and threads at once are all kept.

    Args:
        run: A `Run`, a tracker, or the path of a run's folder.
        tags: Name to value, which becomes text. None takes the tag away, even a logged one.
        note: A note to add.
        name: The new name; an empty one gives the run the name back that it was logged with.
        remove_notes: The ids of notes to take away.

    Returns:
        The annotations of the run after the change.

    Raises:
        TypeError: An argument is of another type.
        ValueError: A text is empty or too long, or there is no note of that id.
        AnnotationError: The file of annotations is damaged, or would be too large.
        TimeoutError: Another process has been changing it for 5 seconds.
        OSError: There is no run, or its folder cannot be written to.
    """
    wanted = Change.now(
        tags=_tags(tags),
        note=_text(note, "a note", _LONGEST_NOTE) if note is not None else None,
        name=_text(name, "a name", _LONGEST_NAME, may_be_empty=True) if name is not None else None,
        removed_notes=_ids(remove_notes),
    )
    return replaced.change(_folder_of(run), lambda known: _with(known, wanted))


def remove(run: AnyRun) -> Annotations:
    """
    Mark *run* as removed: lists and searches leave it out. `restore` takes that back.

    Nothing is deleted; `refunc gc --removed` does that, 30 days later. A running run goes on. Raises as `annotate`
    does.
    """
    return _mark(run, is_removed=True)


def restore(run: AnyRun) -> Annotations:
    """Take `remove` back. Raises as `annotate` does."""
    return _mark(run, is_removed=False)


def take_over(folder: Path, others: Iterable[Change]) -> Annotations:
    """Add the changes *others*, of a copy of the run, that the run in *folder* lacks. Raises as `annotate` does."""
    return replaced.change(folder, lambda known: joined(known.changes, others))


def joined(changes: Iterable[Change], others: Iterable[Change]) -> list[Change]:
    """Return *changes* with those of *others* that are not among them, by time; each in its own order."""
    own = list(changes)
    places = {each.id: number for number, each in enumerate(own)}
    found: list[Change] = []
    at = 0
    for each in others:
        place = places.get(each.id)
        if place is None:
            end = next((number for number in range(at, len(own)) if own[number].time > each.time), len(own))
            places[each.id] = -1
        else:
            end = max(at, place + 1)
        found += own[at:end]
        at = end
        if place is None:
            found.append(each)
    return [*found, *own[at:]]


def _mark(run: AnyRun, *, is_removed: bool) -> Annotations:
    wanted = Change.now(removed=is_removed)

    def decide(known: Annotations) -> list[Change]:
        return [*known.changes, *([wanted] if (known.removal is not None) != is_removed else [])]

    return replaced.change(_folder_of(run), decide)


def _with(known: Annotations, wanted: Change) -> list[Change]:
    """Return the changes with *wanted*, or with those of its parts that change something."""
    missing = object()
    tags = {name: value for name, value in wanted.tags.items() if known.tags.get(name, missing) != value}
    name = wanted.name if wanted.name is not None and (wanted.name or None) != known.name else None
    there = {note.id for note in known.notes}
    for each in wanted.removed_notes:
        if each not in there:
            raise ValueError(f"the run has no note {each!r}. Its notes: {', '.join(sorted(there)) or 'none'}.")
    if not (tags or name is not None or wanted.note is not None or wanted.removed_notes):
        return list(known.changes)
    return [*known.changes, attrs.evolve(wanted, tags=tags, name=name)]


def _folder_of(run: AnyRun) -> Path:
    if isinstance(run, (str, os.PathLike)):
        return Path(run)
    folder = getattr(run, "folder", None)
    if not isinstance(folder, Path):
        raise TypeError(f"{short_repr(run)} is not a run. Give a Run of a store, or the path of a run's folder.")
    return folder


def _tags(tags: object) -> dict[str, str | None]:
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        raise TypeError(f'tags: {short_repr(tags)} is not a mapping. Write tags={{"best": "yes"}}.')
    return {
        _text(name, "a tag's name", _LONGEST_NAME): None
        if value is None
        else _text(text_of(value, _LONGEST_TAG + 1), "a tag", _LONGEST_TAG, may_be_empty=True)
        for name, value in tags.items()
    }


def _text(value: object, noun: str, most: int, *, may_be_empty: bool = False) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{noun} is a text, not {short_repr(value)}.")
    if not value.strip() and not may_be_empty:
        raise ValueError(f"{noun} is empty.")
    if len(value) > most:
        raise ValueError(f"{noun} has {len(value):,} characters; at most {most:,} are allowed.")
    return encodable(str(value))


def _ids(ids: object) -> tuple[str, ...]:
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise TypeError(f"remove_notes: {short_repr(ids)} is not a list of ids.")
    return tuple(_text(each, "an id", 64) for each in ids)
