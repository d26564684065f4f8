"""
Folding a run: the segments of ended writers become one file, and the run reads the same.

The file is written next to them, forced to disk and renamed; then the joined segments are removed. So a kill leaves a
draft, or duplicate segments, which are read once; folding again removes either.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import attrs

from refunc.delivery.lock import DeliveryLock
from refunc.journal.alive import GONE
from refunc.journal.birth import birth_in
from refunc.journal.folder import DELIVERY, JOURNAL, RUN_JSON, refuse_link
from refunc.journal.opening import names_in
from refunc.journal.pieces import (
    FOLDED_SUFFIX,
    MAX_HEADER_BYTES,
    MOST_FOLDED,
    Segment,
    folded_header,
    folded_segments,
    segments,
)
from refunc.journal.segments import header_of
from refunc.outlets.file import fsync_file
from refunc.outlets.locks import give_up, is_written, lock
from refunc.outlets.opening import own_only, write_whole
from refunc.outlets.replaced import Draft, is_draft_name
from refunc.processes.opener import Opener
from refunc.values.names import writer_id
from refunc_commands.upkeep.space import KeptError, why_kept

#: Bytes of segments in one folded file: this much disk is used twice for a moment.
_MOST_BYTES: Final = 1 << 30
_COPIED_BYTES: Final = 1 << 20
#: The fewest files that are worth joining.
_FEWEST: Final = 2

_MAY_RUN: Final = "its process may be running"
HOLES: Final = "it is a sparse file"


@attrs.frozen
class _File:
    """A segment in a file of its own, and the file's state when it was found."""

    segment: Segment
    info: os.stat_result

    @property
    def is_unchanged(self) -> bool:
        """Whether its state is the same. Raises OSError."""
        now = os.lstat(self.segment.path)
        return os.path.samestat(now, self.info) and (now.st_size, now.st_mtime_ns) == self._state

    @property
    def _state(self) -> tuple[int, int]:
        return self.info.st_size, self.info.st_mtime_ns


@attrs.frozen
class Plan:
    """
    The result of folding a run.

    Attributes:
        joined: How many files are joined, or removed because a folded file already has them.
        size: Bytes in them.
        left: The reasons why other segments are left as they are, with their counts.
    """

    joined: int = 0
    size: int = 0
    left: Counter[str] = attrs.Factory(Counter)


def is_worth_folding(folder: Path) -> bool:
    """Whether the run *folder* has enough files to join some. Raises OSError."""
    files = sum(not segment.is_folded for pieces in segments(folder).values() for segment in pieces)
    return files >= _FEWEST or (files > 0 and bool(folded_segments(folder)))


def fold(folder: Path, *, dry_run: bool = False) -> Plan:
    """
    Join the segments of the run *folder* whose writers are gone.

    Args:
        dry_run: Only return the plan.

    Raises:
        KeptError: The run may be running, is another user's, or is being delivered; nothing was done.
        OSError: It cannot be read or written; nothing was lost.
        NoDescriptorError: Too many files are open.
    """
    must_be_own(folder)
    why = why_kept(folder)
    if why:
        raise KeptError(f"it {why}")
    with not_delivered(folder):
        left: Counter[str] = Counter()
        folded = folded_segments(folder)
        dead = _of_dead_writers(folder, left)
        doubles = [file for file in dead if file.segment.name in folded]
        alone = [file for file in dead if file.segment.name not in folded]
        batches = [batch for batch in _batches(alone) if len(batch) >= _FEWEST]
        if not dry_run:
            _remove_drafts(folder / JOURNAL)
            doubles = [file for file in doubles if _is_same(file, folded[file.segment.name])]
            _remove(doubles)
            for batch in batches:
                _join(folder / JOURNAL, batch)
        files = [*doubles, *(file for batch in batches for file in batch)]
        return Plan(len(files), sum(file.info.st_size for file in files), left)


# -- the files that are left alone -------------------------------------------------------------------------------------


def must_be_own(folder: Path) -> None:
    """
    Raise KeptError where a part of the run is another user's.

    Delivery trusts records by the owner of their file: joined, foreign records would be this user's.
    """
    refuse_link(folder / JOURNAL)
    paths = [os.path.join(folder, name) for name in ("", RUN_JSON, JOURNAL)]
    paths += [entry.path for entry in names_in(folder / JOURNAL)]
    if hasattr(os, "geteuid") and any(os.lstat(path).st_uid != os.geteuid() for path in paths):
        raise KeptError("another user wrote a part of it")


@contextlib.contextmanager
def not_delivered(folder: Path) -> Iterator[None]:
    """Lock the run's delivery. Raises KeptError if another process delivers it."""
    with ExitStack() as stack:
        for entry in names_in(folder / DELIVERY):
            if entry.name.endswith(".lock"):
                held = DeliveryLock(folder, entry.name.removesuffix(".lock"))
                if not held.take():
                    raise KeptError("a process is delivering it")
                stack.callback(held.release)
        yield


def _of_dead_writers(folder: Path, left: Counter[str]) -> list[_File]:
    """Return the segments in files of their own that no process will write to, sorted by time of change."""
    opener = Opener.of(birth_in(folder))
    found: list[_File] = []
    for pieces in segments(folder).values():
        files = [_File(segment, os.lstat(segment.path)) for segment in pieces if not segment.is_folded]
        files = [file for file in files if not file.segment.fault]
        if not files:
            continue
        if not _is_dead(opener, files):
            left[_MAY_RUN] += len(files)
            continue
        for file in files:
            reason = _why_left(file)
            if reason:
                left[reason] += 1
            else:
                found.append(file)
    return sorted(found, key=lambda file: (file.info.st_mtime_ns, file.segment.name))


def _is_dead(opener: Opener, files: list[_File]) -> bool:
    """Whether the writer of *files* has ended: its process is gone, or has written nothing for a long time."""
    header = header_of(files[0].segment)
    writer = opener.beside(header.get("host"), header.get("pid"))
    if writer.lives() is False or writer.is_before_restart:
        return True
    return time.time() - max(file.info.st_mtime for file in files) > GONE


def _why_left(file: _File) -> str:
    with file.segment.opened() as open_file:
        if is_written(open_file.fileno()):
            return _MAY_RUN
        # A sparse file is not copied: it may be larger than the disk, and no writer creates one.
        return "" if open_file.extents() in ([], [(0, open_file.size)]) else HOLES


# -- joining -----------------------------------------------------------------------------------------------------------


def _batches(files: list[_File]) -> Iterator[list[_File]]:
    """Yield *files* in parts, one for each folded file."""
    batch: list[_File] = []
    names = size = 0
    for file in files:
        name_bytes = 12 * len(file.segment.name) + 32  # at most, as JSON
        is_full = len(batch) == MOST_FOLDED or names + name_bytes > MAX_HEADER_BYTES - 1_000
        if batch and (is_full or size + file.info.st_size > _MOST_BYTES):
            yield batch
            batch, names, size = [], 0, 0
        batch.append(file)
        names, size = names + name_bytes, size + file.info.st_size
    if batch:
        yield batch


def _join(journal: Path, batch: list[_File]) -> None:
    """Join *batch* in one file, and remove it. Raises OSError, and KeptError if one of the files changes meanwhile."""
    target = journal / f"{writer_id('folded')}{FOLDED_SUFFIX}"
    with Draft(target, private=True) as draft:
        write_whole(draft.fd, folded_header([(file.segment.name, file.info.st_size) for file in batch]))
        mode = 0o666
        for file in batch:
            _copy(file, draft.fd)
            mode &= file.info.st_mode
        os.fchmod(draft.fd, mode | 0o600)
        newest = max(file.info.st_mtime_ns for file in batch)
        os.utime(draft.fd, ns=(newest, newest))  # the time of the last write tells whether a run is alive
        draft.put(fsync=True)
    fsync_file(target)
    _remove(batch)


def _copy(file: _File, fd: int) -> None:
    with file.segment.opened() as source:
        for offset in range(0, file.info.st_size, _COPIED_BYTES):
            wanted = min(_COPIED_BYTES, file.info.st_size - offset)
            block = source.read(offset, wanted)
            if len(block) != wanted:
                break
            write_whole(fd, block)
        else:
            if file.is_unchanged:
                return
    raise KeptError("a process is writing to it")


def _remove(files: list[_File]) -> None:
    """Remove those of *files* that are unchanged; all are in a folded file. Raises OSError."""
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # another process folds the run as well
            if file.is_unchanged:
                os.unlink(file.segment.path)


def _is_same(file: _File, piece: Segment) -> bool:
    """Whether *piece* of a folded file, which is forced to disk, has the bytes of *file*. Raises OSError."""
    if piece.fault or piece.size() != file.info.st_size:
        return False
    with file.segment.opened() as one, piece.opened() as other:
        if other.is_cut or any(
            one.read(offset, _COPIED_BYTES) != other.read(offset, _COPIED_BYTES)
            for offset in range(0, file.info.st_size, _COPIED_BYTES)
        ):
            return False
    fsync_file(Path(piece.path))
    return True


def _remove_drafts(journal: Path) -> None:
    """Remove the drafts of an earlier folding that was killed."""
    for entry in names_in(journal):
        if is_draft_name(entry.name) and entry.is_file(follow_symlinks=False):
            fd = own_only(entry.path, os.O_RDWR)
            try:
                if lock(fd):
                    os.unlink(entry.path)
            finally:
                give_up(fd)
