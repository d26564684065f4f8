"""The files of the page: read and compressed once, and sent again only if they have changed."""

from __future__ import annotations

import gzip
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import Response

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "json": "application/json",
    "map": "application/json",
}
#: Smaller files are sent as they are.
_SMALL: Final = 500


@attrs.frozen
class StaticFile:
    """One file as it is sent."""

    data: bytes
    packed: bytes | None
    kind: str
    tag: str


class StaticFiles:
    """The files below `page` of this package and `charts` of refunc-commands, by their addresses."""

    def __init__(self) -> None:
        self._files: dict[str, StaticFile] = {}
        page = files("refunc_ui") / "page"
        for path, file in _walk(page, ""):
            self._files["/" if path == "index.html" else f"/static/{path}"] = file
        charts = files("refunc_commands") / "charts"
        if charts.is_dir():
            for path, file in _walk(charts, ""):
                self._files[f"/static/charts/{path}"] = file

    def answer(self, path: str, request: Request) -> Response | None:
        """Return the file at *path*; None if there is none."""
        file = self._files.get(path)
        if file is None:
            return None
        headers = {"etag": file.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
        if file.tag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.packed, headers={**headers, "content-encoding": "gzip"}, media_type=file.kind)
        return Response(file.data, headers=headers, media_type=file.kind)


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, StaticFile]]:
    found: list[tuple[str, StaticFile]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif (kind := _TYPES.get(entry.name.rpartition(".")[2])) is not None:
            found.append((prefix + entry.name, _file(entry.read_bytes(), kind)))
    return found


def _file(data: bytes, kind: str) -> StaticFile:
    packed = gzip.compress(data, 9, mtime=0) if len(data) > _SMALL else None
    return StaticFile(data, packed, kind, f'"{sha256(data).hexdigest()[:20]}"')
