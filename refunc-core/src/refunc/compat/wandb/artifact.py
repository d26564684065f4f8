"""`wandb.Artifact`: files that are put together, and logged under one name and version."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from refunc.compat.wandb.media import Media
from refunc.compat.wandb.problems import UsageError
from refunc.compat.wandb.scratch import scratch_folder
from refunc.compat.wandb.stored import StoredArtifact


class Artifact(StoredArtifact):
    """
    Files under one name.

    Before it is logged, files are added to it: a file is copied when it is added, except with `policy="immutable"`.
    Once it is logged, it has a version, and can be downloaded.
    """

    def __init__(
        self,
        name: str,
        type: str,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        incremental: bool = False,
        use_as: str | None = None,
        **unused: Any,
    ) -> None:
        """
        Prepare an artifact without files.

        Raises:
            ValueError: An empty name, or one with a `/` or a `:`, which separate it from a project and a version.
        """
        if not isinstance(name, str) or not name or any(mark in name for mark in "/:"):
            raise ValueError(f"Artifact: {name!r} is not a name. Use a text without `/` and `:`.")
        super().__init__(name, type)
        self.description = description
        self.metadata = dict(metadata or {})
        self._folder = scratch_folder(self, os.environ.get("WANDB_DATA_DIR") or None)

    def add_file(
        self,
        local_path: str | os.PathLike[str],
        name: str | None = None,
        is_tmp: bool | None = False,
        skip_cache: bool | None = False,
        policy: str | None = "mutable",
        overwrite: bool = False,
    ) -> None:
        """
        Add a file, under its own name or *name*.

        Args:
            policy: `mutable` copies the file now; `immutable` when the artifact is logged, which saves one copy.

        Raises:
            ValueError: There is no such file.
        """
        path = Path(local_path)
        if not path.is_file():
            raise ValueError(f"add_file: there is no file {path}.")
        place = self._place(name or path.name)
        if policy == "immutable":
            place.unlink(missing_ok=True)
            try:
                place.symlink_to(path.absolute())
                return
            except OSError:  # Windows, without the right to make links
                pass
        shutil.copyfile(path, place)

    def add_dir(
        self,
        local_path: str | os.PathLike[str],
        name: str | None = None,
        skip_cache: bool | None = False,
        policy: str | None = "mutable",
        merge: bool = True,
    ) -> None:
        """
        Add the files in a folder and below, under *name* or at the top.

        Raises:
            ValueError: There is no such folder.
        """
        top = Path(local_path)
        if not top.is_dir():
            raise ValueError(f"add_dir: there is no folder {top}.")
        for path in sorted(top.rglob("*")):
            if path.is_file():
                inside = path.relative_to(top).as_posix()
                self.add_file(path, f"{name}/{inside}" if name else inside, policy=policy)

    def add_reference(
        self, uri: str, name: str | None = None, checksum: bool = True, max_objects: int | None = None
    ) -> None:
        """Note where something is, by its address or path; nothing is copied, and nothing is asked of a server."""
        address = str(getattr(uri, "ref_url", uri))
        self.references[name or address.rstrip("/").rpartition("/")[2] or address] = address

    def add(self, obj: Media, name: str, overwrite: bool = False) -> None:
        """Add a table, an image or another medium under *name*, with its suffix."""
        if not isinstance(obj, Media):
            raise ValueError(
                f"add: {type(obj).__name__} is not a table, an image or the like. Use add_file for a file."
            )
        shown = name if name.endswith(obj.suffix) else name + obj.suffix
        self._place(shown).write_bytes(obj.read())

    @contextmanager
    def new_file(self, name: str, mode: str = "x", encoding: str | None = None) -> Iterator[IO[Any]]:
        """Open a new file in the artifact, for writing."""
        with open(self._place(name), mode, encoding=encoding) as file:
            yield file

    def remove(self, item: str) -> None:
        """Take a file, a folder or a reference out again. Raises FileNotFoundError if it is not there."""
        path = self._folder / item
        if item in self.references:
            del self.references[item]
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    def _place(self, name: str) -> Path:
        """Return the path for a file of that name, whose folder exists."""
        if not self.is_draft():
            raise UsageError(f"Artifact: {self.name} is logged, and cannot be changed. Make another Artifact.")
        path = self._folder / name
        if os.path.isabs(name) or ".." in Path(name).parts:
            raise ValueError(f"Artifact: {name!r} would be outside of the artifact.")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _was_logged(self, run: Path, version: str, aliases: list[str]) -> None:
        """Note the folder of the run that has it now; its own copies are removed."""
        self._version, self._aliases, self._run_folder = version, aliases, run
        shutil.rmtree(self._folder, ignore_errors=True)

    def local_files(self) -> dict[str, Path]:
        """Return the files by their names in the artifact."""
        if not self.is_draft():
            return super().local_files()
        return {
            path.relative_to(self._folder).as_posix(): path
            for path in sorted(self._folder.rglob("*"))
            if path.is_file()
        }
