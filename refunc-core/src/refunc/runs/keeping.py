"""Reading runs for their facts, and keeping these in the catalogue of the index."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from refunc.annotations.file import data_of, is_annotated
from refunc.journal.kinds import RUNNING, UNREADABLE
from refunc.runs.failure import failure_of
from refunc.runs.index.catalogue import Changed, Entry, Facts, facts_for
from refunc.runs.index.file import Index
from refunc.runs.origin import origin_of
from refunc.runs.run import Run
from refunc.runs.signature import Signature, signature_of
from refunc.runs.unchanged import changes_of, is_unchanged

if TYPE_CHECKING:
    from refunc.runs.summary import Summary

#: Bytes of a journal that is read as quickly as its points are found in the index: only its facts are kept.
_SMALL: Final = 256 << 10
#: Runs whose facts are kept in one transaction.
_BATCH: Final = 200

_encode = msgspec.msgpack.Encoder().encode


def _state_of(run: Run) -> bytes:
    """Return the state of the run's files, with its annotations, which shows whether its facts still hold."""
    return _packed(signature_of(run.folder), data_of(run.folder))


def _packed(signature: Signature, annotations: bytes | str | None) -> bytes:
    state = _encode(signature)
    if annotations is None:
        return state
    data = annotations if isinstance(annotations, bytes) else annotations.encode(errors="backslashreplace")
    return state + sha256(data).digest()


def size_of(signature: Signature) -> int:
    """Return the bytes of a run's files."""
    return sum(size for _, size, _, _ in signature)


class Keeper:
    """Reads runs, and keeps their facts in batches; the last one is kept by `flush`."""

    def __init__(self, index: Index | None) -> None:
        """
        Args:
            index: None if it cannot be used; then nothing is kept.
        """
        self._index = index
        self._waiting: dict[str, tuple[bytes, Changed | None, Facts]] = {}
        self._changes: dict[str, tuple[bytes, Changed | None]] = {}

    def holds(self, run: Run, path: str, entry: Entry) -> bool:
        """Whether the facts of *run*, in the folder *path*, that the catalogue keeps still hold."""
        _, state, run_changed, journal_changed, _ = entry
        look = run.looked()
        if (
            run_changed is not None
            and journal_changed is not None
            and is_unchanged(path, run_changed, journal_changed, state, look)
        ):
            return True
        changed = changes_of(path)
        if state != _state_of(run):
            return False
        if changed is not None and not is_annotated(path):  # so that the next answer is quick
            self._changes[run.folder.name] = state, changed
        return True

    def read(self, run: Run) -> Summary:
        """Read *run*, keep its facts, and return its summary. Raises whatever a run that cannot be read raises."""
        path = os.fspath(run.folder)
        changed = changes_of(path)
        signature, annotations = signature_of(run.folder), data_of(run.folder)
        content = run.content(cached=size_of(signature) >= _SMALL, signature=signature)
        summary = run.annotated(content.summary)
        if self._index is None or not content.is_whole:
            return summary
        facts = facts_for(_lasting(run, summary), summary)
        changed = changed if annotations is None and content.signature == signature else None
        self._waiting[run.folder.name] = _packed(content.signature, annotations), changed, facts
        if len(self._waiting) >= _BATCH:
            self.flush()
        return summary

    def flush(self) -> None:
        """Keep all facts that have been read."""
        if self._index is not None and self._waiting:
            self._index.keep_facts(self._waiting)
        if self._index is not None and self._changes:
            self._index.keep_changes(self._changes)
        self._waiting, self._changes = {}, {}


def _lasting(run: Run, summary: Summary) -> dict[str, object]:
    """Return the single facts that hold until a file of the run changes; a process may end without changing one."""
    facts = {**run.facts(summary), **origin_of(run), **failure_of(run, summary)}
    if facts["status"] in (RUNNING, UNREADABLE):
        del facts["status"], facts["duration"]
    return facts
