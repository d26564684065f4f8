"""
A run on the writing side: its identity, its journal writer, and what it knows of itself while it lasts.

Calls from any thread; what they change are single dict entries and attributes, which need no lock.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refunc import __version__
from refunc.journal import kinds
from refunc.journal.names import folder_name, new_id, unique_slug
from refunc.journal.outlet import Durability
from refunc.logging.goals import Bests
from refunc.logging.nowhere import Nowhere
from refunc.logging.steps import Steps

if TYPE_CHECKING:
    from refunc.journal.writer import JournalWriter
    from refunc.logging.artifacts import Artifacts
    from refunc.logging.attached import Attachment
    from refunc.runs import ExperimentContext


class ActiveRun:
    """
    A run that this process writes to.

    It belongs to the process that opened it: a forked or spawned child writes to it, as a writer of its own, and never
    ends it.
    """

    #: Whether the run leaves anything on disk.
    is_written = True

    def __init__(
        self,
        folder: Path,
        birth: dict[str, Any],
        *,
        durability: Durability,
        implicit: bool = False,
        attachment: Attachment | None = None,
    ) -> None:
        self.birth = birth
        self.folder = folder
        self.implicit = implicit
        #: How the one who opened the run says where it is, at its start and its end.
        self.tell: Callable[[str], None] = _say_nothing
        self.run_id: str = birth["run_id"]
        self.run_name: str | None = birth["run_name"]
        self.experiment_id: str = birth["experiment_id"]
        self.experiment_name: str = birth["experiment_name"]
        self.parent_id: str | None = birth["parent_id"]
        self.start_time: float = birth["start_time"]
        #: What this process has of a run that another one opened.
        self.attachment = attachment
        #: Whether this process opened the run and it has not ended: the hot path asks this, all others `accepts()`.
        self.is_open = attachment is None
        self.status: str = kinds.RUNNING
        self.end_time: float | None = None
        self.params: dict[str, Any] = {}
        self.tags: dict[str, str] = {}
        self.artifacts: list[str] = []
        self.steps: dict[object, Steps] = {}
        #: The best values that this process has written.
        self.bests = Bests()
        #: Whether this process has said how a metric of it is read.
        self.is_defined = False
        #: The keys of the integrations that belong to the run.
        self.delivered_to: set[str] = set()
        self.automatic_step = itertools.count()
        self._is_ended = False
        self._artifacts: Artifacts | None = None
        self.writer: JournalWriter | Nowhere = self._new_writer(durability)
        self.writer.watch = self.bests

    #: The end record, given out once: see `end`.
    _last_words: Iterator[Any]

    def _new_writer(self, durability: Durability) -> JournalWriter | Nowhere:
        # Encoding and folders cost 25 ms to import, and a script that logs lines only has no use for them.
        from refunc.journal.folder import RunFolder
        from refunc.journal.writer import JournalWriter

        folder = RunFolder(self.folder, self.birth, is_made=self.attachment is not None)
        return JournalWriter(folder, logger=self.birth["logger"], durability=durability)

    @property
    def is_own(self) -> bool:
        """Whether this process opened the run, and so may end it."""
        return self.attachment is None

    def accepts(self) -> bool:
        """Whether a call may go to this run: it has not ended; or it is another process's, which has no newer one."""
        return self.is_open or (self.attachment is not None and not self._is_ended and self.attachment.lasts())

    def close_to_calls(self) -> None:
        """Have every call look for its run anew: this one has ended, or is another process's from now on."""
        self.is_open = False
        for steps in tuple(self.steps.values()):
            steps.is_current = False

    def put(self, kind: str, fields: dict[str, Any], moment: float | None = None) -> None:
        """Queue a record; *fields* are JSON-able."""
        self.writer.append((kind, moment or time.time(), fields))

    def put_through(self, kind: str, fields: dict[str, Any], moment: float | None = None) -> bool:
        """Write a record before returning, with all that was queued before it; False where the disk refused."""
        return self.writer.write((kind, moment or time.time(), fields))

    def start(self) -> None:
        """Queue the first record."""
        fields = {key: self.birth[key] for key in START_FIELDS if self.birth[key] is not None}
        if self.implicit:
            fields["implicit"] = True
        self.writer.queue.append((kinds.START, self.start_time, fields))

    def end(
        self,
        status: str,
        *,
        metrics: Mapping[str, Any] | None = None,
        error: str | None = None,
        moment: float | None = None,
    ) -> bool:
        """
        Write the end record and let go of the files; where another process owns the run, only the latter.

        A call that Ctrl-C interrupted is finished by the next one; there is one end record however often it takes.

        Args:
            error: The traceback that ended it.
            moment: When it ended, where that is not now, in seconds since 1970.

        Returns:
            Whether it was this call that ended the run.
        """
        if self._is_ended:
            return False
        self.close_to_calls()
        if self.is_own:
            if "_last_words" not in vars(self):
                words = iter((self._end_record(status, metrics, error, moment),))
                vars(self).setdefault("_last_words", words)  # one step, however many threads end the run at once
            self.writer.write_all(self._last_words)
        self.leave()
        return True

    def leave(self) -> None:
        """Let go of the files without an end record; once is enough. A run that is left reads as crashed."""
        self.close_to_calls()
        self.writer.close()
        self.writer.release()
        self._is_ended = True

    def _end_record(
        self, status: str, metrics: Mapping[str, Any] | None, error: str | None, moment: float | None
    ) -> tuple[Any, ...]:
        self.end_time = moment or time.time()
        self.status = status
        fields: dict[str, Any] = {"status": status, "duration": self.end_time - self.start_time}
        if metrics:
            fields["metrics"] = dict(metrics)
        if error:
            fields["error"] = error
        if self.is_defined:
            fields["defined"] = True
        if self.writer.dropped:
            fields["dropped"] = self.writer.dropped
        fields["size"] = self.size
        return (kinds.END, self.end_time, fields)

    def store(self, source: Path, *, copy: bool | None) -> dict[str, Any]:
        """Keep the file or folder *source* with the run and return its record's fields; see `Artifacts.store`."""
        if self._artifacts is None:
            # Only a call that has an artifact pays for importing what hashes and copies.
            from refunc.logging.artifacts import Artifacts

            self._artifacts = Artifacts(self.folder, self.writer.unsynced)
        return self._artifacts.store(source, copy=copy)

    def context(self, *, step: int | None = None, epoch: int | None = None) -> ExperimentContext:
        """Return a snapshot of the run, for a logger that stands at *step* and *epoch*."""
        # attrs classes cost 30 ms to import, and a script that asks for no context need not pay.
        from refunc.runs.entry import ExperimentContext

        return ExperimentContext(
            experiment_id=self.experiment_id,
            experiment_name=self.experiment_name,
            run_id=self.run_id,
            run_name=self.run_name,
            start_time=self.start_time,
            end_time=self.end_time,
            status=self.status,
            parameters=dict(self.params),
            metrics=self._latest_metrics(),
            tags=dict(self.tags),
            artifacts=list(self.artifacts),
            metadata={"folder": str(self.folder), "parent_id": self.parent_id},
            step=step,
            epoch=epoch,
        )

    def _latest_metrics(self) -> dict[str, Any]:
        """Return the last value of each metric that this process logged; writes what is queued first."""
        self.writer.flush()
        return dict(self.writer.latest)

    @property
    def size(self) -> int:
        """What the folder takes, in bytes; 0 where it cannot be read."""
        from refunc.journal.folder import size_of

        return size_of(self.folder)


class DisabledRun(ActiveRun):
    """What runs are under `REFUNC_MODE=disabled`: they can be asked and written to, and leave nothing anywhere."""

    is_written = False

    def _new_writer(self, durability: Durability) -> JournalWriter | Nowhere:
        return Nowhere()

    def store(self, source: Path, *, copy: bool | None) -> dict[str, Any]:
        return {"stored": None}

    @property
    def size(self) -> int:
        return 0


def _say_nothing(line: str) -> None:
    """Be what tells of a run that another process announced."""


START_FIELDS = ("run_id", "run_name", "experiment_id", "experiment_name", "parent_id", "attempt", "logger")


def new_run(
    *,
    experiment: str,
    run_name: str | None,
    store: Path,
    logger: str,
    parent: ActiveRun | None = None,
    durability: Durability = "async",
    implicit: bool = False,
) -> ActiveRun:
    """Return a run that has a name and an id, and nothing on disk yet: its start record makes the folder."""
    import platform

    started = time.time()
    run_id = new_id()
    birth: dict[str, Any] = {
        "format": kinds.FORMAT,
        "run_id": run_id,
        "run_name": run_name,
        "experiment_id": unique_slug(experiment, "experiment"),
        "experiment_name": experiment,
        "parent_id": parent.run_id if parent is not None else None,
        "attempt": 1,
        "start_time": started,
        "logger": logger,
        "host": platform.node(),
        "pid": os.getpid(),
        "python": platform.python_version(),
        "refunc": __version__,
        "script": os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else None,
    }
    folder = store / folder_name(started, run_name or experiment, run_id)
    kind = DisabledRun if is_disabled() else ActiveRun
    return kind(folder, birth, durability=durability, implicit=implicit)


def is_disabled() -> bool:
    """Whether `REFUNC_MODE=disabled` says that nothing is to be written."""
    return os.environ.get("REFUNC_MODE", "").strip().lower() == "disabled"
