"""Reading a run's content: from the index, and the rest from its journal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from refunc.journal.folder import RUN_JSON
from refunc.journal.pieces import Segment, is_folded_name, segments, writer_of
from refunc.journal.record import RunEnd
from refunc.runs.gathered import Content
from refunc.runs.index import contents
from refunc.runs.index.file import Index, index_of
from refunc.runs.segments_ahead import segments_ahead
from refunc.runs.signature import Signature, signature_of
from refunc.runs.writer_content import WriterContent

#: Of a file in a signature: its size, when it was changed, and its number in the file system.
_Entry = tuple[int, int, int]

#: The number of values in memory at which they are moved to the index, if there is one.
_FULL: Final = 1_000_000


#: Values in memory at which a reader that follows a run moves them to the index, so that others need not read them.
_ENOUGH: Final = 50_000


def read_content(
    folder: Path, signature: Signature | None = None, *, cached: bool = True, processes: int = 0
) -> Content:
    """
    Return the content of the journal in *folder*: from the index if nothing has changed, else read on from there.

    Args:
        cached: Whether to use and update the index.
        processes: The most processes that read ahead; see `segments_ahead`.
    """
    signature = signature_of(folder) if signature is None else signature
    index = index_of(folder) if cached else None
    content = contents.load(index, folder) if index is not None else None
    if content is not None and content.is_whole and content.signature == signature:
        return content
    files = segments(folder)  # sorted by the writers' names, which decide between equal records
    if content is None or not _still_holds(content, signature, files):
        content = Content(folder, signature, stored=content.stored if content is not None else None)
    content.signature, content.is_whole = signature, False
    _read_on(content, files, index, processes=processes)
    return content


def continued(known: Content, signature: Signature, *, cached: bool = True) -> Content | None:
    """
    Return *known* with the records that its run has got meanwhile; None if its files have changed otherwise.

    New records stay in memory until it is worth a transaction: a reader that looks at many running runs each second
    would else write all of their newest points again each second. *known* is unchanged.

    Args:
        cached: Whether to use and update the index.
    """
    files = segments(known.folder)
    if not known.is_whole or not _still_holds(known, signature, files):
        return None
    content = Content(known.folder, signature, stored=known.stored)
    content.writers = {name: writer.copied() for name, writer in known.writers.items()}
    index = index_of(known.folder) if cached else None
    _read_on(content, files, index, enough=_ENOUGH)
    return content


def _read_on(
    content: Content, files: dict[str, list[Segment]], index: Index | None, *, enough: int = 0, processes: int = 0
) -> None:
    """Add the records after the content's positions, and store it if *enough* values or the run's end are new."""
    content.writers = {name: content.writers.get(name) or WriterContent() for name in files}
    room = content.room()
    new = [piece for name, pieces in files.items() for piece in content.writers[name].position.not_begun(pieces)]
    with segments_ahead(content.folder, new, processes) as ahead:
        for name, pieces in files.items():
            writer = content.writers[name]
            for _ in writer.read_on(name, pieces, room, ahead):
                if index is not None and writer.columns.size >= _FULL and not contents.save(index, content):
                    index = None
    # What no right lets read now may be read later, and no change of a file will show that.
    content.is_whole = all(writer.position.is_whole for writer in content.writers.values())
    size = sum(writer.columns.size for writer in content.writers.values())
    if index is not None and (size >= enough or _has_end(content)):
        contents.save(index, content)


def _has_end(content: Content) -> bool:
    return any(isinstance(note.record, RunEnd) for writer in content.writers.values() for note in writer.notes[-1:])


def _still_holds(content: Content, now: Signature, files: dict[str, list[Segment]]) -> bool:
    """
    Whether the files that were read are unchanged, except for appended data.

    This is so if no segment is shorter, and only the segment at which reading a writer stopped is longer. A run that is
    being copied may get its files in any order. A run that was folded meanwhile has the same segments, in a file that
    was not changed before them.
    """
    before = {name: (size, changed, number) for name, size, changed, number in content.signature}
    there = {name: (size, changed, number) for name, size, changed, number in now}
    known_folded = {name for name in before if is_folded_name(name)}
    if any(there.get(name) != before.pop(name, None) for name in (RUN_JSON, *known_folded)):
        return False
    pieces = [segment for found in files.values() for segment in found]
    for segment in pieces:
        name = os.path.basename(segment.path)
        file = there.get(name)
        if file is None or name in known_folded:  # newer than *now*, or unchanged
            continue
        if segment.fault:
            return False
        if not _segment_holds(content, segment, file, before.pop(segment.name, None)):
            return False
    return not before


def _segment_holds(content: Content, segment: Segment, file: _Entry, known: _Entry | None) -> bool:
    """Whether *segment*, which lies in *file*, is unchanged since it was *known*, or only longer."""
    if known is None:
        return segment.name > _last_segment(content, segment)
    if segment.is_folded:
        size = segment.size()
        return file[1] >= known[1] and (size == known[0] or _goes_on(content, segment, size, known[0]))
    return known == file or (known[2] == file[2] and _goes_on(content, segment, file[0], known[0]))


def _goes_on(content: Content, segment: Segment, size: int, known: int) -> bool:
    return size > known and segment.name >= _last_segment(content, segment)


def _last_segment(content: Content, segment: Segment) -> str:
    """Return the segment at which reading of this segment's writer stopped."""
    writer = content.writers.get(writer_of(segment.name) or "")
    return writer.position.segment if writer is not None else ""
