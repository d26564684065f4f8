"""
Merging the folders of one run whose processes had no common file system: each file goes into one of them.

Nothing is lost at any moment: files are copied as drafts, forced to disk and renamed, and the other folders stay as
they are. A file that is there already is not copied again, so a merge that was killed is finished by the next one. Two
files of one name must begin alike, since a process only appends to its own; then the longer one is right. Annotations
are not copied: the target gets the changes that it lacks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from refunc.annotations.change import Change
from refunc.annotations.changing import joined, take_over
from refunc.annotations.errors import AnnotationError
from refunc.annotations.file import ANNOTATIONS, read
from refunc.journal.folder import ARTIFACTS, DELIVERY, JOURNAL, RUN_JSON, refuse_link
from refunc.journal.opening import names_in
from refunc.journal.pieces import Segment, segments
from refunc.journal.ranks import RANKS, rank_files
from refunc.outlets.opening import write_whole
from refunc.outlets.replaced import REMOVAL, Draft, is_draft_name, passage
from refunc.runs.identity import read_birth
from refunc_commands.upkeep.drafts import OF_A_RUN
from refunc_commands.upkeep.folding import HOLES, must_be_own, not_delivered
from refunc_commands.upkeep.space import KeptError, keep_what_may_live, why_kept

_BLOCK: Final = 1 << 20
#: Kept by git and by refunc itself, and the same everywhere.
_IGNORED: Final = ".gitignore"
#: The files of delivery that are state; the others are locks and logs.
_STATE: Final = (".json", ".dead.jsonl")


@attrs.frozen
class _File:
    """A file of a run: its path in the folder, its bytes, and the folder that it is in."""

    path: str
    segment: Segment
    folder: Path

    def size(self) -> int:
        return self.segment.size()


@attrs.frozen
class Merged:
    """The result: the files that were copied, by the part of the run that they belong to, and their bytes."""

    target: Path
    copied: dict[str, int]
    size: int


def merge(folders: list[Path], target: Path, *, even_if_open: bool = False, dry_run: bool = False) -> Merged:
    """
    Bring the files of *folders*, which are of one run, into the folder *target*, which may be one of them.

    Args:
        even_if_open: Also if a process may still write to one of them: its files as they are now.
        dry_run: Only return the plan.

    Raises:
        KeptError: They are not of one run, or have files that contradict each other, or one of them may be running, is
            another user's, or is being delivered; nothing was done.
        RunFormatError: One of them cannot be read.
        OSError: It cannot be read or written; nothing was lost, and the next merge goes on.
    """
    everything = [target, *(folder for folder in folders if not _is_same(folder, target))]
    existing = [folder for folder in everything if (folder / RUN_JSON).exists()]
    _check_birth(existing)
    for folder in existing:
        must_be_own(folder)
        why = why_kept(folder)
        if why and not even_if_open:
            raise KeptError(f"{folder} {why}. Merge it after its end, or pass --running to merge its files so far")
    wanted = list(_wanted(everything, target))
    for file, known in wanted:
        _check_copy(file, known, target)
    changes = _changes(everything, target)
    if not dry_run:
        _copy_all([file for file, _ in wanted], target)
        if changes:
            _annotate(target, changes)
    copied: dict[str, int] = {ANNOTATIONS: 1} if changes else {}
    for file, _ in wanted:
        part = file.path.partition("/")[0]
        copied[part] = copied.get(part, 0) + 1
    return Merged(target, copied, sum(file.size() for file, _ in wanted))


def remove_merged(folder: Path, target: Path) -> None:
    """
    Remove *folder*, all of which is in *target*.

    Raises:
        KeptError: It may be running, or has something that is not in *target*, or files that are not part of a run.
        OSError: It cannot be removed.
    """
    keep_what_may_live(folder)
    strange = [entry.name for entry in names_in(folder) if entry.name not in OF_A_RUN and not is_draft_name(entry.name)]
    if strange:
        raise KeptError(f"{folder} has files that are not part of a run, such as {strange[0]}")
    if list(_wanted([target, folder], target)) or _changes([target, folder], target):
        raise KeptError(f"{folder} has records or annotations that {target} does not have")
    if problem := read(folder).problem:
        raise KeptError(f"{folder}: {problem}")
    gone = passage(folder.parent, REMOVAL)
    gone.mkdir()
    try:
        os.rename(folder, gone / folder.name)
    except OSError:
        gone.rmdir()
        raise
    shutil.rmtree(gone)


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _check_birth(folders: list[Path]) -> None:
    """Raise KeptError unless all are of one run."""
    births = [read_birth(folder) for folder in folders]
    for folder, birth in zip(folders, births, strict=True):
        for name in ("run_id", "experiment_name"):
            if birth.get(name) != births[0].get(name):
                raise KeptError(
                    f"{folder} is of another run than {folders[0]}: its {name} is {birth.get(name)!r}, not "
                    f"{births[0].get(name)!r}"
                )


# -- the files that are copied -----------------------------------------------------------------------------------------


def _wanted(folders: list[Path], target: Path) -> Iterator[tuple[_File, _File | None]]:
    """
    Yield the files that *target* needs, each with the one that it has under this name; `run.json` comes last.

    Raises:
        KeptError: Two files of one name contradict each other.
    """
    best: dict[str, _File] = {}
    here: dict[str, _File] = {}
    for folder in folders:
        for file in _files(folder):
            if folder == target:
                here[file.path] = file
            known = best.get(file.path)
            best[file.path] = file if known is None else _better(known, file)
    births = [folder for folder in folders if (folder / RUN_JSON).exists()]
    for path, file in best.items():
        known = here.get(path)
        if known is None or file.folder != target:
            yield file, known
    # Of a shared folder, it would be that of the process that came first.
    first = min(births, key=lambda folder: float(read_birth(folder).get("start_time") or 0.0))
    known = _whole(target, RUN_JSON) if target in births else None
    if first == target or (known is not None and (_is_alike(known, _whole(first, RUN_JSON)) or why_kept(target))):
        return
    yield _whole(first, RUN_JSON), known


def _files(folder: Path) -> Iterator[_File]:
    """Yield the files of the run in *folder* that are copied."""
    if _is_regular(folder / _IGNORED):
        yield _whole(folder, _IGNORED)
    if (folder / JOURNAL).is_dir():
        refuse_link(folder / JOURNAL)
        for pieces in segments(folder).values():
            for segment in pieces:
                if segment.fault:
                    raise KeptError(f"{segment.path} cannot be read: {segment.fault}")
                yield _File(f"{JOURNAL}/{segment.name}", segment, folder)
    for file in rank_files(folder):
        if _is_regular(file.path):
            yield _whole(folder, f"{RANKS}/{file.path.name}")
    for part in (ARTIFACTS, DELIVERY):
        for entry in names_in(folder / part):
            is_state = part != DELIVERY or entry.name.endswith(_STATE)
            if entry.is_file(follow_symlinks=False) and not is_draft_name(entry.name) and is_state:
                yield _whole(folder, f"{part}/{entry.name}")


def _changes(folders: list[Path], target: Path) -> list[Change]:
    """
    Return all changes of annotations if *target* lacks one of them; none if it has all. Damaged files have none.

    Raises:
        KeptError: That of *target* is damaged, and another folder has some.
    """
    known = read(target)
    found = list(known.changes)
    for folder in folders:
        found = joined(found, read(folder).changes)
    if known.problem is not None and found:
        raise KeptError(f"{target}: {known.problem}. Repair it, or move it away")
    return found if len(found) > len(known.changes) else []


def _annotate(target: Path, changes: list[Change]) -> None:
    try:
        take_over(target, changes)
    except AnnotationError as error:
        raise KeptError(str(error).removesuffix(".")) from error


def _whole(folder: Path, path: str) -> _File:
    return _File(path, Segment.at(folder / path), folder)


def _is_regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _better(known: _File, file: _File) -> _File:
    """Return the one of two files of one name that has everything; of equal ones the first. Raises KeptError."""
    if file.path.startswith((f"{DELIVERY}/", _IGNORED)):  # each cursor knows only the records of its folder
        return known
    shorter, longer = (known, file) if known.size() <= file.size() else (file, known)
    is_longer_allowed = file.path.startswith(f"{JOURNAL}/")
    if (shorter.size() == longer.size() or is_longer_allowed) and _begins_alike(shorter, longer):
        return known if known.size() >= file.size() else file
    what = f"{known.segment.path} and {file.segment.path} are not the same"
    if file.path.startswith(f"{RANKS}/"):
        what = f"{what}: two processes had this rank in this attempt, so these folders are of two starts"
    raise KeptError(what)


def _is_alike(one: _File, other: _File) -> bool:
    return one.size() == other.size() and _begins_alike(one, other)


def _begins_alike(shorter: _File, longer: _File) -> bool:
    size = shorter.size()
    with shorter.segment.opened() as one, longer.segment.opened() as other:
        return all(
            one.read(offset, _BLOCK) == other.read(offset, min(_BLOCK, size - offset))
            for offset in range(0, size, _BLOCK)
        )


# -- copying -----------------------------------------------------------------------------------------------------------


def _check_copy(file: _File, known: _File | None, target: Path) -> None:
    """Raise KeptError if *file* must not be copied."""
    with file.segment.opened() as source:
        # A sparse file may be larger than the disk, and no writer makes one.
        if source.size and source.extents() != [(0, source.size)]:
            raise KeptError(f"{file.segment.path}: {HOLES}")
    if known is not None and file.path.startswith(f"{JOURNAL}/") and why_kept(target):
        raise KeptError(f"{target} may be running, and {file.segment.path} has more of one of its files")


def _copy_all(files: Iterable[_File], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for part in (JOURNAL, *{file.path.partition("/")[0] for file in files if "/" in file.path}):
        (target / part).mkdir(exist_ok=True)
        refuse_link(target / part)
    with not_delivered(target):
        for file in files:
            _copy(file, target / file.path)


def _copy(file: _File, target: Path) -> None:
    with file.segment.opened() as source, Draft(target, private=True) as draft:
        info = os.fstat(source.fileno())
        for offset in range(0, source.size, _BLOCK):
            write_whole(draft.fd, source.read(offset, min(_BLOCK, source.size - offset)))
        source.check_whole()
        os.fchmod(draft.fd, info.st_mode & 0o666 | 0o600)
        os.utime(draft.fd, ns=(info.st_mtime_ns, info.st_mtime_ns))  # tells whether a run without an end may be alive
        draft.put(fsync=True)
