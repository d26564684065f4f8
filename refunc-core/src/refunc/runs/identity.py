"""The identity of a run: its folder, its names and ids, and the annotations that people gave it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from refunc.annotations import file as annotations_file
from refunc.annotations.state import Annotations, Note
from refunc.journal.birth import birth_in
from refunc.journal.folder import RUN_JSON
from refunc.journal.kinds import FORMAT
from refunc.runs.errors import RunFormatError
from refunc.runs.index.catalogue import kept_birth
from refunc.runs.unreadable import SEE_RIGHTS

if TYPE_CHECKING:
    from typing_extensions import Self


class Look(NamedTuple):
    """A list's look at a run: the state of its `run.json`, and when its folder had changed."""

    birth: str
    changed: int


@attrs.define(eq=False, repr=False)
class Identity:
    """The part of a run that is read from `run.json` and from its annotations, without its journal."""

    _folder: Path | str
    #: The contents of `run.json`, or these as the index has them: a list of thousands of runs shows a few.
    _birth: dict[str, Any] | bytes
    #: The bytes of the file of annotations, and their meaning.
    _annotated: tuple[bytes | str | None, Annotations] = attrs.field(default=(None, Annotations()), init=False)
    _look: Look | None = attrs.field(default=None, init=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """
        Open the run in *folder*, which must have a `run.json`.

        Raises:
            RunFormatError: `run.json` cannot be read, or was written by a newer format.
        """
        return cls(folder, read_birth(folder))

    @classmethod
    def kept(cls, place: str, birth: bytes, look: Look | None) -> Self:
        """Return the run in the folder *place* with the *birth* that the index has, and the list's *look* at it."""
        run = cls(place, birth)
        run._look = look
        return run

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        if isinstance(self._folder, str):
            self._folder = Path(self._folder)
        return self._folder

    @property
    def place(self) -> str:
        """The same as a text, which costs less."""
        return self._folder if isinstance(self._folder, str) else str(self._folder)

    def looked(self) -> Look | None:
        """Return the look at it from the listing of its store, once: later it may be otherwise."""
        look, self._look = self._look, None
        return look

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the folder alone; its records are read again."""
        return type(self), (self.folder, self.birth)

    def __repr__(self) -> str:
        return f"Run({self.run_name!r}, {self.run_id!r}, experiment={self.experiment_name!r})"

    @property
    def birth(self) -> dict[str, Any]:
        """The contents of `run.json`."""
        if isinstance(self._birth, bytes):
            self._birth = kept_birth(self._birth) or read_birth(self.folder)
        return self._birth

    @property
    def run_id(self) -> str:
        """The random id that identifies the run everywhere."""
        return str(self.birth["run_id"])

    @property
    def run_name(self) -> str:
        """The name that the user gave, or the id."""
        return self.given_name or self.run_id

    @property
    def given_name(self) -> str | None:
        """The name that the user gave at the start, or later; None without one."""
        return self.annotations.name or self.logged_name

    @property
    def logged_name(self) -> str | None:
        """The name that the user gave at the start; None without one."""
        return self.birth.get("run_name") or None

    @property
    def experiment_name(self) -> str:
        """The experiment's name."""
        return str(self.birth.get("experiment_name") or "")

    @property
    def experiment_id(self) -> str:
        """The experiment's id, the same for all runs of that name."""
        return str(self.birth.get("experiment_id") or "")

    @property
    def parent_id(self) -> str | None:
        """The id of the enclosing run, in whose context this one was opened."""
        parent = self.birth.get("parent_id")
        return str(parent) if parent is not None else None

    @property
    def start_time(self) -> float:
        """The start of the run, in seconds since 1970."""
        return float(self.birth.get("start_time", 0.0))

    @property
    def commit(self) -> str | None:
        """The commit of the code's repository at the start; None if it was in none."""
        return self.birth.get("commit")

    @property
    def packages(self) -> dict[str, str]:
        """The versions of packages that trainings are made with, as far as the process had loaded them at its start."""
        known = self.birth.get("packages")
        items = known.items() if isinstance(known, dict) else ()
        return {name: version for name, version in items if isinstance(version, str)}

    @property
    def annotations(self) -> Annotations:
        """The tags, notes, names and marks that people gave the run later, as of now; see `refunc.annotations`."""
        data = annotations_file.data_of(self.folder)
        if data != self._annotated[0]:
            self._annotated = data, annotations_file.parsed(data)
        return self._annotated[1]

    @property
    def notes(self) -> list[Note]:
        """The notes, oldest first."""
        return self.annotations.notes

    @property
    def is_removed(self) -> bool:
        """Whether `refunc rm` has marked it, so that lists and searches leave it out."""
        return self.annotations.removal is not None


def read_birth(folder: Path) -> dict[str, Any]:
    """
    Return the contents of `run.json` in *folder*; see `journal.birth`.

    Raises:
        RunFormatError: It cannot be read.
        NoDescriptorError: Too many files are open.
    """
    try:
        birth = birth_in(folder)
    except OSError as error:
        raise RunFormatError(folder, f"{RUN_JSON} cannot be read ({error.strerror or error}).", SEE_RIGHTS) from error
    except ValueError as error:
        raise RunFormatError(folder, f"{RUN_JSON} {error}.") from error
    version = birth["format"]
    if version > FORMAT:
        problem = f"format {version} is newer than this refunc reads ({FORMAT}). Upgrade refunc."
        raise RunFormatError(folder, problem, "Upgrade refunc; the run itself is intact.")
    return birth
