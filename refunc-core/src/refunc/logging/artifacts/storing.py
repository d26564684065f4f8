"""
Storing artifacts: a copy in the run's folder before the call returns, so that overwriting a file later does not change
the run.

Each file is one object under `artifacts/`, named by its content's hash and a slug of its name: the same content is
kept once. A folder is a JSON list of such objects. Runs on the calling thread, and does its I/O there.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any

from refunc.journal.folder import ARTIFACTS, refuse_link
from refunc.journal.provenance import mac_of_reference
from refunc.logging.artifacts.folders import contents_of, store_inside
from refunc.outlets.opening import open_file, write_whole
from refunc.outlets.replaced import Draft
from refunc.values.names import new_id, slug

try:
    import fcntl
except ImportError:  # Windows: no reflinks there
    fcntl = None  # type: ignore[assignment]

#: Up to this size a file is copied before the call returns; a larger one by reflink, else it becomes a reference.
COPY_BYTES = 64 << 20
#: How many files that are not copied, or left out, are named in a folder's record.
MOST_NAMED = 20
#: The part of the disk that is never filled.
RESERVE = 0.05
_CHUNK_BYTES = 1 << 20
_FICLONE = 0x40049409  # ioctl_ficlone(2)


class ArtifactError(OSError):
    """An artifact that cannot be stored; its text says why and what happens instead."""


class UnreadableError(ArtifactError):
    """A file that cannot be read, or can no longer be read."""


class Artifacts:
    """The artifacts of one run, as this process adds to them."""

    def __init__(self, run: Path, run_id: str, new_files: deque[Path]) -> None:
        """
        Args:
            new_files: Gets each new file; the run's writer forces them to disk with its own.
        """
        self._run = run
        self._run_id = run_id
        self._objects = run / ARTIFACTS
        self._not_on_disk = new_files
        self._names: dict[str, str] | None = None

    def store(self, source: Path, *, copy: bool | float | None) -> dict[str, Any]:
        """
        Store *source*, a file or a folder, and return the fields of its record.

        Args:
            copy: True copies a file of any size, False records a reference. None and a number of bytes decide by size:
                a larger file shares its blocks with the original if the file system supports it, and otherwise is
                recorded as a reference.

        Raises:
            OSError: It is not there, cannot be read, holds the store, or the disk has no room.
        """
        bound = _bound(copy)
        info = source.stat()
        if stat.S_ISDIR(info.st_mode):
            return self._store_folder(source, info, bound)
        if not stat.S_ISREG(info.st_mode):
            raise ArtifactError(f"{source} is neither a file nor a folder")
        if bound is not None:  # a reference puts nothing into the run
            self._prepare([info.st_size], bound)
        return self._store_file(source, bound)

    def _prepare(self, sizes: Iterable[int], bound: float | None) -> None:
        """Make the folder of objects, and check that there is room for the copies of files of these sizes."""
        self._objects.mkdir(parents=True, exist_ok=True)
        refuse_link(self._objects)
        if copied := sum(size for size in sizes if bound is not None and size <= bound):
            _check_room(self._objects, copied)

    def _store_file(self, source: Path, bound: float | None) -> dict[str, Any]:
        with _opened(source) as reading:
            info = os.fstat(reading.fileno())
            fields: dict[str, Any] = {"source": str(source.absolute()), "size": info.st_size, "mtime": info.st_mtime}
            if bound is None:
                return self._as_reference(fields)
            with self._draft(source.name) as draft:
                if info.st_size > bound:
                    if _reflink(reading, draft.fd):
                        fields["size"] = os.fstat(draft.fd).st_size
                        fields["stored"] = self._keep(draft, new_id(16), object_slug(source.name))
                        return fields
                    return self._as_reference(fields)
                fields["sha256"], fields["size"] = _copy(reading, draft.fd, info.st_size)
                fields["stored"] = self._keep(draft, fields["sha256"][:16], object_slug(source.name))
        return fields

    def _as_reference(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the *fields* of a file that is not copied, with the proof that allows sending it with the run."""
        mac = mac_of_reference(self._run_id, fields["source"], fields["size"], fields["mtime"])
        return {**fields, "mac": mac}

    def _store_folder(self, source: Path, info: os.stat_result, bound: float | None) -> dict[str, Any]:
        self._prepare((), bound)
        held = store_inside(self._run, info)
        if held is not None:
            raise ArtifactError(
                f"it contains {held}, where runs are stored, which would be copied into itself. Log the files or "
                "folders in it that you need"
            )
        found, left_out = contents_of(source, self._run)
        self._prepare((info.st_size for _, info in found), bound)
        files = []
        for path, _ in found:
            inside = path.relative_to(source).as_posix()
            try:
                files.append({"path": inside, **self._store_file(path, bound)})
            except UnreadableError as error:  # one of many: the others are stored
                left_out[inside] = str(error)
        listing = json.dumps(files, indent=1).encode("ascii")
        digest = hashlib.sha256(listing).hexdigest()
        with self._draft(source.name) as draft:
            write_whole(draft.fd, listing)
            stored = self._keep(draft, digest[:16], f"{object_slug(source.name)}.files.json")
        fields: dict[str, Any] = {
            "source": str(source.absolute()),
            "stored": stored,
            "size": sum(entry["size"] for entry in files),
            "sha256": digest,
            "files": len(files),
        }
        referred = sorted((entry["size"], entry["path"]) for entry in files if "stored" not in entry)
        if referred:
            fields["references"] = len(referred)
            fields["reference_bytes"] = sum(size for size, _ in referred)
            fields["largest_references"] = {path: size for size, path in referred[: -MOST_NAMED - 1 : -1]}
        if left_out:
            fields["left_out"] = len(left_out)
            fields["left_out_paths"] = dict(islice(left_out.items(), MOST_NAMED))
        return fields

    def _draft(self, name: str) -> Draft:
        return Draft(self._objects / object_slug(name))

    def _keep(self, draft: Draft, key: str, name: str) -> str:
        """Put *draft* in place, unless the same content is there under any name; return its path in the run."""
        if self._names is None:
            self._names = {entry.partition("-")[0]: entry for entry in os.listdir(self._objects) if entry[0] != "."}
        kept = self._names.setdefault(key, f"{key}-{name}")
        path = self._objects / kept
        if not path.exists():
            draft.put(path)
            self._not_on_disk.append(path)
        return f"{ARTIFACTS}/{kept}"


def _bound(copy: bool | float | None) -> float | None:
    """Return the size in bytes up to which a file is copied; None if none is."""
    if copy is False:
        return None
    return COPY_BYTES if copy is None else math.inf if copy is True else copy


def object_slug(name: str) -> str:
    """Return a safe file name like *name*, keeping its suffix if that is short and plain: `best-model.pkl`."""
    stem, dot, suffix = name.rpartition(".")
    if dot and stem and suffix.isascii() and suffix.isalnum() and len(suffix) <= 10:
        return f"{slug(stem, 'file')}.{suffix.lower()}"
    return slug(name, "file")


@contextmanager
def _opened(source: Path) -> Iterator[FileIO]:
    """Open a path that was a file a moment ago, without waiting for a pipe that replaced it."""
    try:
        fd = open_file(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UnreadableError("it is no longer a file")
    with FileIO(fd) as reading:
        yield reading


def _copy(reading: FileIO, target: int, size: int) -> tuple[str, int]:
    """
    Copy a file of *size* bytes to the open file *target*; return the SHA-256, in hex, and the size of the copy.

    Of a file that grows meanwhile, the copy has the first *size* bytes, and at most one chunk more.
    """
    digest, copied = hashlib.sha256(), 0
    while copied <= size and (chunk := _read(reading)):
        digest.update(chunk)
        write_whole(target, chunk)
        copied += len(chunk)
    return digest.hexdigest(), copied


def _read(reading: FileIO) -> bytes:
    try:
        return reading.read(_CHUNK_BYTES) or b""
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error


def _reflink(reading: FileIO, target: int) -> bool:
    """Make *target* share the blocks of a file, which costs neither time nor disk, if the file system supports it."""
    if fcntl is None:
        return False
    try:
        fcntl.ioctl(target, _FICLONE, reading.fileno())
    except OSError:
        return False
    return True


def _check_room(folder: Path, size: int) -> None:
    usage = shutil.disk_usage(folder)
    if usage.free - size < usage.total * RESERVE:
        raise ArtifactError(f"copying {size:,} bytes would fill the last {RESERVE:.0%} of the disk under {folder}")
