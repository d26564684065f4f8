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
from pathlib import Path
from typing import Any

from refunc.journal.folder import ARTIFACTS
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


def store_artifact(run: Path, source: Path, *, copy: bool | None) -> dict[str, Any]:
    """
    Store *source*, a file or a folder, in the folder of the run, and return the fields of its record.

    Args:
        copy: True copies whatever the size, False records a reference, None decides by size.

    Raises:
        OSError: It is not there, cannot be read, or the disk has no room.
    """
    info = source.stat()
    if stat.S_ISDIR(info.st_mode):
        return _store_folder(run, source, copy)
    if not stat.S_ISREG(info.st_mode):
        raise ArtifactError(f"{source} is neither a file nor a folder")
    return _store_file(run, source, info, copy)


def _store_file(run: Path, source: Path, info: os.stat_result, copy: bool | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"source": str(source.absolute()), "size": info.st_size, "mtime": info.st_mtime}
    if copy is False:
        return fields
    objects = run / ARTIFACTS
    objects.mkdir(parents=True, exist_ok=True)
    draft = objects / f".{new_id(12)}"
    try:
        if copy is None and info.st_size > COPY_BYTES:
            if not _reflink(source, draft):
                return fields
            name = f"{new_id(16)}-{object_slug(source.name)}"
        else:
            _check_room(objects, info.st_size)
            fields["sha256"] = digest = _copy(source, draft)
            name = f"{digest[:16]}-{object_slug(source.name)}"
            kept = next(objects.glob(f"{digest[:16]}-*"), None)
            if kept is not None:
                fields["stored"] = f"{ARTIFACTS}/{kept.name}"
                return fields
        os.replace(draft, objects / name)
    finally:
        draft.unlink(missing_ok=True)
    fields["stored"] = f"{ARTIFACTS}/{name}"
    return fields


def _store_folder(run: Path, source: Path, copy: bool | None) -> dict[str, Any]:
    files: list[dict[str, Any]] = []
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            try:
                info = path.stat()
            except FileNotFoundError:  # a link to nowhere, or a file that was removed since: the others are kept
                continue
            if stat.S_ISREG(info.st_mode):
                entry = _store_file(run, path, info, copy)
                files.append({"path": path.relative_to(source).as_posix(), **entry})
    objects = run / ARTIFACTS
    objects.mkdir(parents=True, exist_ok=True)
    listing = json.dumps(files, indent=1).encode("ascii")
    digest = hashlib.sha256(listing).hexdigest()
    name = f"{digest[:16]}-{object_slug(source.name)}.files.json"
    draft = objects / f".{new_id(12)}"
    draft.write_bytes(listing)
    os.replace(draft, objects / name)
    return {
        "source": str(source.absolute()),
        "stored": f"{ARTIFACTS}/{name}",
        "size": sum(entry["size"] for entry in files),
        "sha256": digest,
        "files": len(files),
    }


def object_slug(name: str) -> str:
    """Return a safe file name like *name*, its suffix kept where it is short and plain: `best-model.pkl`."""
    stem, dot, suffix = name.rpartition(".")
    if dot and stem and suffix.isascii() and suffix.isalnum() and len(suffix) <= 10:
        return f"{slug(stem, 'file')}.{suffix.lower()}"
    return slug(name, "file")


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
