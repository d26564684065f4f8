"""From a run's folder to its content: what the index has, and what was written since."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from refunc.journal.folder import SEGMENT_SUFFIX
from refunc.journal.reader import segments
from refunc.runs.content import Content, Signature, WriterContent, signature_of
from refunc.runs.index import index_of

#: Values in memory at which they go to the index, where there is one.
_FULL: Final = 1_000_000


def read_content(folder: Path, signature: Signature | None = None, *, cached: bool = True) -> Content:
    """
    Return what the journal in *folder* comes to: from the index where nothing has changed, else read on from there.

    Args:
        cached: Whether to ask the index, and to tell it.
    """
    signature = signature_of(folder) if signature is None else signature
    index = index_of(folder) if cached else None
    content = index.load(folder) if index is not None else None
    if content is not None and content.is_whole and content.signature == signature:
        return content
    if content is None or not _still_holds(content, signature):
        content = Content(folder, signature, stored=content.stored if content is not None else None)
    content.signature, content.is_whole = signature, False
    files = segments(folder)  # by the writers' names, in whose order equals are told apart
    content.writers = {name: content.writers.get(name) or WriterContent() for name in files}
    for name, paths in files.items():
        writer = content.writers[name]
        for _ in writer.read_on(name, paths):
            if index is not None and writer.columns.size >= _FULL and not index.save(content):
                index = None
    content.is_whole = True
    if index is None or not index.save(content):
        for writer in content.writers.values():
            writer.statistics = writer.columns.statistics(writer.statistics)
    return content


def _still_holds(content: Content, now: Signature) -> bool:
    """
    Whether all that was read is there unchanged, with more behind it at most.

    That is so where each file is longer or the same, and only the one in which a writer's reading stands is longer. A
    run that is being copied may get its files in any order.
    """
    before = {name: (size, changed, number) for name, size, changed, number in content.signature}
    for name, size, changed, number in now:
        known = before.pop(name, None)
        writer = content.writers.get(name.removesuffix(SEGMENT_SUFFIX).rpartition(".")[0])
        place = writer.place.segment if writer is not None else ""
        is_new = known is None and name > place
        is_same = known == (size, changed, number)
        is_longer = known is not None and known[2] == number and size > known[0] and name >= place
        if not (is_new or is_same or is_longer):
            return False
    return not before
