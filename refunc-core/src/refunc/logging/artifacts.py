"""
Storing artifacts: a copy in the run's folder before the call returns, so that a file overwritten later changes no run.

Each file is one object under `artifacts/`, named by its content's hash and a slug of its name: the same content is
kept once. A folder is a JSON list of such objects. Runs on the calling thread, and does its I/O there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refunc.journal.folder import ARTIFACTS, refuse_link
from refunc.journal.names import new_id, slug

try:
    import fcntl
except ImportError:  # Windows: no reflinks there
    fcntl = None  # type: ignore[assignment]

#: Up to this size a file is copied before the call returns; a larger one by reflink, else it becomes a reference.
COPY_BYTES = 64 << 20
#: The part of the disk that is never filled.
RESERVE = 0.05
_CHUNK_BYTES = 1 << 20
_FICLONE = 0x40049409  # ioctl_ficlone(2)


class ArtifactError(OSError):
    """An artifact that cannot be stored; its text says why and what happens instead."""


class Artifacts:
    """The artifacts of one run, as this process adds to them."""

    def __init__(self, run: Path, unsynced: deque[Path]) -> None:
        """
        Args:
            unsynced: Gets each new file; the run's writer forces them to disk with its own.
        """
        self._run = run
        self._objects = run / ARTIFACTS
        self._unsynced = unsynced
        self._names: dict[str, str] | None = None

    def store(self, source: Path, *, copy: bool | None) -> dict[str, Any]:
        """
        Store *source*, a file or a folder, and return the fields of its record.

        Args:
            copy: True copies whatever the size, False records a reference, None decides by size.

        Raises:
            OSError: It is not there, cannot be read, or the disk has no room.
        """
        info = source.stat()
        if stat.S_ISDIR(info.st_mode):
            return self._store_folder(source, copy)
        if not stat.S_ISREG(info.st_mode):
            raise ArtifactError(f"{source} is neither a file nor a folder")
        return self._store_file(source, info, copy)

    def _store_file(self, source: Path, info: os.stat_result, copy: bool | None) -> dict[str, Any]:
        fields: dict[str, Any] = {"source": str(source.absolute()), "size": info.st_size, "mtime": info.st_mtime}
        if copy is False:
            return fields
        with self._draft() as draft:
            if copy is None and info.st_size > COPY_BYTES:
                if _reflink(source, draft):
                    fields["stored"] = self._keep(draft, new_id(16), object_slug(source.name))
                return fields
            _check_room(self._objects, info.st_size)
            fields["sha256"] = digest = _copy(source, draft)
            fields["stored"] = self._keep(draft, digest[:16], object_slug(source.name))
        return fields

    def _store_folder(self, source: Path, copy: bool | None) -> dict[str, Any]:
        files = [
            {"path": path.relative_to(source).as_posix(), **self._store_file(path, info, copy)}
            for path, info in self._files_in(source)
        ]
        listing = json.dumps(files, indent=1).encode("ascii")
        digest = hashlib.sha256(listing).hexdigest()
        with self._draft() as draft:
            draft.write_bytes(listing)
            stored = self._keep(draft, digest[:16], f"{object_slug(source.name)}.files.json")
        return {
            "source": str(source.absolute()),
            "stored": stored,
            "size": sum(entry["size"] for entry in files),
            "sha256": digest,
            "files": len(files),
        }

    def _files_in(self, source: Path) -> Iterator[tuple[Path, os.stat_result]]:
        # Not by os.walk, see size_of: it leaves out a folder that cannot be read, too, and says nothing.
        own = os.stat(self._run)
        folders = [source]
        while folders:
            inside = []
            for path in _paths_in(folders.pop()):
                try:
                    info = path.stat()
                except FileNotFoundError:  # a link to nowhere, or a file that was removed since: the others are kept
                    continue
                if stat.S_ISREG(info.st_mode):
                    yield path, info
                # A folder that the run itself lies in would be stored into itself.
                elif stat.S_ISDIR(info.st_mode) and not path.is_symlink() and not os.path.samestat(info, own):
                    inside.append(path)
            folders += reversed(inside)

    @contextmanager
    def _draft(self) -> Iterator[Path]:
        self._objects.mkdir(parents=True, exist_ok=True)
        refuse_link(self._objects)
        draft = self._objects / f".{new_id(12)}"
        try:
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    def _keep(self, draft: Path, key: str, name: str) -> str:
        """Put *draft* in place, unless the same content is there under whatever name; return where it is in the run."""
        if self._names is None:
            self._names = {entry.partition("-")[0]: entry for entry in os.listdir(self._objects) if entry[0] != "."}
        kept = self._names.setdefault(key, f"{key}-{name}")
        path = self._objects / kept
        if not path.exists():
            os.replace(draft, path)
            self._unsynced.append(path)
        return f"{ARTIFACTS}/{kept}"


def object_slug(name: str) -> str:
    """Return a safe file name like *name*, its suffix kept where it is short and plain: `best-model.pkl`."""
    stem, dot, suffix = name.rpartition(".")
    if dot and stem and suffix.isascii() and suffix.isalnum() and len(suffix) <= 10:
        return f"{slug(stem, 'file')}.{suffix.lower()}"
    return slug(name, "file")


def _paths_in(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:  # removed since
        return []


def _copy(source: Path, target: Path) -> str:
    """Copy *source* to the new file *target* and return the SHA-256 of what was copied, in hex."""
    digest = hashlib.sha256()
    with open(source, "rb") as reading, open(target, "xb") as writing:
        while chunk := reading.read(_CHUNK_BYTES):
            digest.update(chunk)
            writing.write(chunk)
    return digest.hexdigest()


def _reflink(source: Path, target: Path) -> bool:
    """Make *target* share the blocks of *source*, which costs neither time nor disk, where the file system can."""
    if fcntl is None:
        return False
    with open(source, "rb") as reading, open(target, "xb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        except OSError:
            return False
    return True


def _check_room(folder: Path, size: int) -> None:
    usage = shutil.disk_usage(folder)
    if usage.free - size < usage.total * RESERVE:
        raise ArtifactError(f"copying {size:,} bytes would fill the last {RESERVE:.0%} of the disk under {folder}")
