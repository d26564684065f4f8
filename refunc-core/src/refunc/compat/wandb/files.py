"""Files of a run: media and tables that are logged, the run's own folder for files, and `save`."""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refunc.compat.wandb.media import Media
from refunc.compat.wandb.nowhere import NoTracker
from refunc.compat.wandb.scratch import scratch_folder
from refunc.compat.wandb.table import Table
from refunc.logging import ExperimentTracker
from refunc.logging.notices import warn_once

_Key = tuple[int, int]


class Files:
    """The files of one run."""

    def __init__(self, tracker: ExperimentTracker | NoTracker) -> None:
        self._tracker = tracker
        self._own: Path | None = None
        self._saved: dict[Path, tuple[str, _Key]] = {}
        self._watched: dict[tuple[str, Path | None], None] = {}

    # -- media -------------------------------------------------------------------------------------------------------

    def keep(self, name: str, media: Media, step: int, place: str = "") -> dict[str, Any]:
        """
        Keep a medium that was logged as *name* at a step, and return its entry for the summary.

        Never raises: a file that cannot be kept is one warning.
        """
        shown = f"{name}_{step}{place}{media.suffix}"
        facts = {"key": name, "step": step, **media.facts}
        said = {"_type": f"{media.kind}-file", "path": shown}
        try:
            if isinstance(media, Table):
                cells = iter(range(1 << 30))
                document = media.document(lambda each: self.keep(name, each, step, f"{place}_cell{next(cells)}"))
                content: bytes | Path = json.dumps(document, default=str).encode()
                facts |= {"rows": len(document["data"]), "columns": len(document["columns"])}
            else:
                content = media.content
            self._put(content, shown, media, facts)
        except Exception as error:
            warn_once(f"wandb-media {name}", "log: %s at step %d is not kept: %r. The run goes on.", name, step, error)
        return said

    def _put(self, content: bytes | Path, shown: str, media: Media, facts: Mapping[str, Any]) -> None:
        if isinstance(content, Path):
            self._tracker.log_artifact(content, media.kind, name=shown, metadata=facts)
            return
        if isinstance(self._tracker, NoTracker):
            return
        with tempfile.TemporaryDirectory(prefix="refunc-media-", ignore_cleanup_errors=True) as folder:
            path = Path(folder, f"file{media.suffix}")
            path.write_bytes(content)
            self._tracker.log_artifact(path, media.kind, name=shown, metadata=facts, copy=True)

    # -- the run's folder, and save ----------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The folder for files of the user, which are artifacts of the run at its end; made when it is asked for."""
        if self._own is None:
            run = self._tracker.folder
            self._own = run / "files" if run is not None else scratch_folder(self)
            self._own.mkdir(parents=True, exist_ok=True)
        return self._own

    def save(self, pattern: str | os.PathLike[str], base: str | os.PathLike[str] | None, policy: str) -> list[str]:
        """
        Keep the files that a pattern matches, now and, unless the policy is `now`, at the end again if they changed.

        Raises:
            ValueError: A policy that does not exist.
        """
        if policy not in ("live", "now", "end"):
            raise ValueError(f"save: policy={policy!r} is unknown. Allowed: live, now, end.")
        top = Path(base).absolute() if base is not None else None
        text = os.fspath(pattern)
        if policy != "now":
            self._watched[text, top] = None
        found = self._keep_matching(text, top)
        if not found:
            warn_once(f"wandb-save {text}", "save: no file matches %s by now. It is looked for at the run's end.", text)
        return found

    def _keep_matching(self, pattern: str, top: Path | None) -> list[str]:
        found = []
        for match in sorted(glob.glob(pattern, recursive=True)):
            path = Path(match).absolute()
            if path.is_file():
                self._keep_file(path, _name_of(path, top))
                found.append(str(path))
        return found

    def _keep_file(self, path: Path, name: str, *, copy: bool | None = None) -> None:
        info = path.stat()
        key = (info.st_size, info.st_mtime_ns)
        if self._saved.get(path) != (name, key):
            self._saved[path] = (name, key)
            self._tracker.log_artifact(path, "file", name=name, copy=copy)

    def settle(self) -> None:
        """Keep the saved files that have changed since, and the files in the run's folder for files. Never raises."""
        try:
            for pattern, top in self._watched:
                self._keep_matching(pattern, top)
            if self._own is not None and self._tracker.folder is not None:
                for path in sorted(self._own.rglob("*")):
                    if path.is_file() and path not in self._saved:
                        # It lies in the run's folder, so it is not copied.
                        self._keep_file(path, path.relative_to(self._own).as_posix(), copy=False)
        except OSError as error:
            warn_once("wandb-files", "the files of the run are not all kept: %s.", error)


def _name_of(path: Path, top: Path | None) -> str:
    """Return the name that a file is kept under: below *top*, the working folder, or its own folder's parent."""
    for above in (top, Path.cwd()):
        if above is not None and path.is_relative_to(above):
            return path.relative_to(above).as_posix()
    return path.relative_to(path.parent.parent).as_posix()
