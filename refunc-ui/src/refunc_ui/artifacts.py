"""Files of a run: a list of them, and one to look at or to keep. Nothing outside of the run's folder is read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

import attrs

from refunc.journal.folder import ARTIFACTS
from refunc.journal.opening import opened, read_whole
from refunc.journal.record import Artifact
from refunc.runs.run import Run
from refunc_ui.answers import AskedWronglyError
from refunc_ui.asked import Asked
from refunc_ui.held import Held
from refunc_ui.one_run import named

#: Bytes of a text that is shown, of a picture that is shown, and of the list of a folder's files.
_PREVIEW: Final = 64 << 10
_PICTURE: Final = 32 << 20
_LIST: Final = 16 << 20
#: The most artifacts, and the most files of one folder, that are listed.
_MOST: Final = 2_000
_MOST_FILES: Final = 2_000
_CHUNK: Final = 256 << 10
_PICTURES: Final = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


@attrs.frozen
class Sent:
    """A file as it is sent: its type, its length, and its bytes from an open file."""

    kind: str
    size: int
    file: BinaryIO
    #: The name under which a browser keeps it; None to show it.
    name: str | None

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes; each step reads from the disk."""
        left = self.size
        with self.file:
            while left > 0 and (data := self.file.read(min(_CHUNK, left))):
                left -= len(data)
                yield data


def artifacts(held: Held, asked: Asked) -> dict[str, Any]:
    """Return the artifacts of the run that *asked* names."""
    with held.opened(named(asked)) as run:
        found = run.artifacts
        return {"artifacts": [_described(run, each) for each in found[:_MOST]], "more": max(0, len(found) - _MOST)}


def _described(run: Run, artifact: Artifact) -> dict[str, Any]:
    files = [{"path": path, "size": size, "stored": stored is not None} for path, size, stored in _files(run, artifact)]
    return {
        "name": artifact.name,
        "type": artifact.type,
        "size": artifact.size,
        "stored": artifact.stored,
        "source": artifact.source,
        "reference": artifact.stored is None,
        "is_folder": _is_folder(artifact),
        "count": artifact.files,
        "references": artifact.references,
        "left_out": artifact.left_out,
        "files": files[:_MOST_FILES],
        "more": max(0, len(files) - _MOST_FILES),
        "metadata": artifact.metadata,
    }


def _is_folder(artifact: Artifact) -> bool:
    return artifact.files != 1 or artifact.references > 0 or (artifact.stored or "").endswith(".files.json")


def _files(run: Run, artifact: Artifact) -> list[tuple[str, int, str | None]]:
    """Return path, size and place of each file of an artifact that is a folder; none if its list cannot be read."""
    if not _is_folder(artifact) or artifact.stored is None:
        return []
    try:
        listed = json.loads(read_whole(_within(run.folder, artifact.stored), _LIST))
        return [
            (str(each["path"]), int(each.get("size") or 0), each.get("stored"))
            for each in listed
            if isinstance(each, dict) and isinstance(each.get("stored"), (str, type(None)))
        ]
    except (OSError, ValueError, TypeError, KeyError, RecursionError, AskedWronglyError):
        return []


def artifact(held: Held, asked: Asked) -> Sent:
    """Return the file that *asked* names. Raises AskedWronglyError."""
    path = asked.text("path")
    if path is None:
        raise AskedWronglyError("path: name an artifact.")
    with held.opened(named(asked)) as run:
        stored = _stored(run, path)
        try:
            file = opened(_within(run.folder, stored))
        except OSError as error:
            raise AskedWronglyError(f"The file of {path!r} cannot be read: {error.strerror or error}.", 404) from error
    return _sent(file, path, is_kept=asked.is_on("download"))


def _stored(run: Run, path: str) -> str:
    """Return the place in the run of the artifact at *path*: its name, or its name and the path of a file in it."""
    for each in reversed(run.artifacts):  # of one name, the newest
        if path == each.name and not _is_folder(each):
            if each.stored is None:
                raise AskedWronglyError(f"{path!r} was not copied into the run. It was at {each.source}.", 404)
            return each.stored
        if _is_folder(each) and path.startswith(f"{each.name}/"):
            rest = path[len(each.name) + 1 :]
            for name, _, stored in _files(run, each):
                if name == rest and stored is not None:
                    return stored
    raise AskedWronglyError(f"The run has no file {path!r}.", 404)


def _within(folder: Path, stored: str) -> Path:
    """
    Return the path of a file in the run's folder of artifacts.

    Raises:
        AskedWronglyError: *stored* leads elsewhere: a journal of another user may say anything.
    """
    parts = PurePosixPath(stored).parts
    path = folder / stored
    is_inside = parts[:1] == (ARTIFACTS,) and ".." not in parts and "\0" not in stored
    if not is_inside or not os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder / ARTIFACTS), "")):
        raise AskedWronglyError("This file does not lie in the run's folder, so it is not shown.", 404)
    if os.path.realpath(folder / ARTIFACTS) != os.path.join(os.path.realpath(folder), ARTIFACTS):
        raise AskedWronglyError("The run's folder of artifacts is a link, so it is not shown.", 404)
    return path


def _sent(file: BinaryIO, path: str, *, is_kept: bool) -> Sent:
    try:
        size = os.fstat(file.fileno()).st_size
        name = PurePosixPath(path).name
        if is_kept:
            return Sent("application/octet-stream", size, file, name)
        kind = _picture(file.read(16))
        file.seek(0)
        if kind is not None and size <= _PICTURE:
            return Sent(kind, size, file, None)
        return Sent("text/plain; charset=utf-8", min(size, _PREVIEW), file, None)
    except BaseException:
        file.close()
        raise


def _picture(begin: bytes) -> str | None:
    """Return the type of a picture that begins so; None for other files, and for pictures that may have scripts."""
    if begin[:4] == b"RIFF" and begin[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _PICTURES.items() if begin.startswith(magic)), None)
