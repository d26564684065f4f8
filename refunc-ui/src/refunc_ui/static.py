"""The files of the page: read and compressed once, and sent again only if they have changed."""

from __future__ import annotations

import gzip
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import Response

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_CHARTS: Final = "/static/charts/"
#: Smaller files are sent as they are.
_SMALL: Final = 500


@attrs.frozen
class StaticFile:
    """One file as it is sent, as of a change of it."""

    data: bytes
    packed: bytes | None
    kind: str
    tag: str
    changed: float


class StaticFiles:
    """The files below `page` of this package and `charts` of refunc-commands, by their addresses."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}
        self._files: dict[str, StaticFile] = {}
        for package, folder, prefix in (("refunc_ui", "page", "/static/"), ("refunc_commands", "charts", _CHARTS)):
            root = Path(str(files(package))) / folder
            for path in sorted(root.rglob("*")):
                place = path.relative_to(root).as_posix()
                if path.suffix in _TYPES and path.is_file():
                    self._paths["/" if prefix + place == "/static/index.html" else prefix + place] = path

    def answer(self, address: str, request: Request) -> Response | None:
        """Return the file at *address*; None if there is none."""
        path = self._paths.get(address)
        if path is None:
            return None
        file = self._file(path)
        headers = {"etag": file.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
        if file.tag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(file.packed, headers={**headers, "content-encoding": "gzip"}, media_type=file.kind)
        return Response(file.data, headers=headers, media_type=file.kind)

    def _file(self, path: Path) -> StaticFile:
        """Return a file, read again if it has changed, as it does under those who work on it."""
        changed = path.stat().st_mtime
        known = self._files.get(str(path))
        if known is None or known.changed != changed:
            data = path.read_bytes()
            packed = gzip.compress(data, 9, mtime=0) if len(data) > _SMALL else None
            tag = f'"{sha256(data).hexdigest()[:20]}"'
            known = self._files[str(path)] = StaticFile(data, packed, _TYPES[path.suffix], tag, changed)
        return known
