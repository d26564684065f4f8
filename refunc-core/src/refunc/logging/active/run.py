"""
A run on the writing side: its identity, its journal writer, and its state while it is open.

Calls may come from any thread: they change only single dict entries and attributes, which need no lock.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refunc.journal import kinds
from refunc.journal.line import QueuedRecord
from refunc.journal.rewinds import ResumePoint
from refunc.logging.active.aside import Aside
from refunc.logging.active.bests import Bests
from refunc.logging.active.living import note_living
from refunc.logging.active.modules import artifact_class, context_class, journal_modules
from refunc.logging.active.nowhere import Nowhere
from refunc.logging.active.place import Place
from refunc.logging.active.results import ResultNames
from refunc.logging.logfiles.transcript import Transcript
from refunc.outlets.durability import Durability

if TYPE_CHECKING:
    from refunc.journal.folder import SharedRunFolder
    from refunc.journal.roles import Role
    from refunc.journal.writer import JournalWriter
    from refunc.logging.active.borrowed import BorrowedRun
    from refunc.logging.artifacts.storing import Artifacts
    from refunc.runs import ExperimentContext


#: The members of `run.json` that the start record has too.
START_FIELDS = ("run_id", "run_name", "experiment_id", "experiment_name", "parent_id", "attempt", "logger")


class ActiveRun:
    """
    A run that this process writes to.

    It belongs to the process that opened it: a forked or spawned child writes to it, as a writer of its own, and never
    ends it.
    """

    #: Whether the run is written to disk.
    is_written = True
    #: Whether other loggers, and children, may find the run.
    is_tracked = True

    def __init__(
        self,
        folder: Path,
        birth: dict[str, Any],
        *,
        durability: Durability,
        implicit: bool = False,
        borrowed: BorrowedRun | None = None,
        shared: SharedRunFolder | None = None,
        role: Role | None = None,
    ) -> None:
        """
        Args:
            shared: The folder of a run that this process opened together with others.
            role: The role of this process there, or of the process whose worker it is.
        """
        self.birth = birth
        self._shared = shared
        self._role = role
        self.folder = folder
        self.implicit = implicit
        #: Shows the lines about the run's start and end.
        self.tell: Callable[[str], None] = _say_nothing
        self.run_id: str = birth["run_id"]
        note_living(self)
        self.run_name: str | None = birth["run_name"]
        self.experiment_id: str = birth["experiment_id"]
        self.experiment_name: str = birth["experiment_name"]
        self.parent_id: str | None = birth["parent_id"]
        self.start_time: float = birth["start_time"]
        #: Set if another process opened the run.
        self.borrowed = borrowed
        #: Whether this process opened the run and it has not ended. The hot path reads this; all others call
        #: `accepts()`.
        self.is_open = borrowed is None
        self.status: str = kinds.RUNNING
        self.end_time: float | None = None
        #: Duration in seconds, by the monotonic clock; 0 until it has ended.
        self.duration = 0.0
        self._began = time.monotonic()
        self.params: dict[str, Any] = {}
        self.tags: dict[str, str] = {}
        self.artifacts: list[str] = []
        #: The place of each logger and tracker that has logged to it, in this process.
        self.places: dict[Any, Place] = {}
        #: Whether it is bound to a block, and the ids of the runs in whose blocks it was opened.
        self.is_block = False
        #: Whether the main thread opened it, outside asyncio tasks: only then may it be the parent of other threads'
        #: runs.
        self.is_of_main = False
        self.blocks: frozenset[str] = frozenset()
        #: Why it has failed if the process ends well before the run is ended; None if it is completed then.
        self.unfinished: str | None = None
        #: Its number among the ended runs of this process, in the order of their ends.
        self.ended_as = 0
        self.results = ResultNames()
        #: The best values that this process has written.
        self.bests = Bests()
        #: Whether this process has defined a metric in it.
        self.is_defined = False
        #: The keys of the integrations that belong to the run.
        self.delivered_to: set[str] = set()
        self.automatic_step = itertools.count()
        self._is_ended = False
        self._resume_point: ResumePoint | None = None
        self._artifacts: Artifacts | None = None
        self.writer: JournalWriter | Aside | Nowhere = self._new_writer(durability)
        self.writer.watch = self.bests

    #: The end record, given out once: see `end`.
    _last_words: Iterator[Any]

    def _new_writer(self, durability: Durability) -> JournalWriter | Aside | Nowhere:
        journal = journal_modules()
        folder = self._shared or journal.RunFolder(
            self.folder, self.birth, is_made=self.borrowed is not None, role=self._role
        )
        writer = journal.JournalWriter(folder, logger=self.birth["logger"], durability=durability)
        writer.tap = Transcript(self.birth["logger"], self)
        return writer

    @property
    def is_left(self) -> bool:
        """Whether this process no longer writes to it: it has ended, or was left to the process that owns it."""
        return self._is_ended

    @property
    def is_own(self) -> bool:
        """Whether this process opened the run, and so may end it."""
        return self.borrowed is None

    @property
    def is_main(self) -> bool:
        """Whether this process speaks for the run: it is rank 0, or the run has no ranks."""
        return self._role is None or self._role.is_main

    def accepts(self) -> bool:
        """
        Whether a call may go to this run: it has not ended, or it belongs to another process that has no newer
        one.
        """
        return self.is_open or (self.borrowed is not None and not self._is_ended and self.borrowed.lasts())

    def close_to_calls(self) -> None:
        """Make every call look up its run again: this one has ended, or belongs to another process from now on."""
        self.is_open = False
        for place in [*self.places.values()]:
            place.is_current = False

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._role.attempt if self._role is not None else 1

    def go_on(self, point: ResumePoint | None) -> None:
        """Continue after earlier attempts: their counted steps, and, if *point* is given, from there."""
        if self._role is not None and self.attempt > 1:
            from refunc.logging.active.resumed import next_counted_step

            self.automatic_step = itertools.count(next_counted_step(self.folder, self._role))
        self._resume_point = point

    def rewind(self, point: ResumePoint) -> None:
        """Note that this attempt goes on from *point*: values that earlier ones logged beyond it no longer count."""
        self.put_through(kinds.REWIND, self._rewind_fields(point))

    def _rewind_fields(self, point: ResumePoint) -> dict[str, Any]:
        of_epoch = {"epoch": point.epoch} if point.epoch is not None else {}
        return {"step": point.step, **of_epoch, "attempt": self.attempt}

    def put(self, kind: str, fields: dict[str, Any], moment: float | None = None) -> None:
        """Queue a record; *fields* are JSON-able."""
        self.writer.append(QueuedRecord(kind, moment or time.time(), fields))

    def put_through(self, kind: str, fields: dict[str, Any], moment: float | None = None) -> bool:
        """Write a record before returning, with everything queued before it; False if the disk refused."""
        return self.writer.write(QueuedRecord(kind, moment or time.time(), fields))

    def start(self) -> None:
        """Queue the first record."""
        fields = {key: self.birth[key] for key in START_FIELDS if self.birth[key] is not None}
        if self.implicit:
            fields["implicit"] = True
        moment = self.start_time if self.attempt == 1 else time.time()
        self.writer.queue.append(QueuedRecord(kinds.START, moment, fields))
        if self._resume_point is not None:
            rewind = self._rewind_fields(self._resume_point)
            self.writer.queue.append(QueuedRecord(kinds.REWIND, time.time(), rewind))

    def end(
        self,
        status: str,
        *,
        metrics: Mapping[str, Any] | None = None,
        error: str | None = None,
        moment: float | None = None,
    ) -> bool:
        """
        Write the end record and close the files; if another process owns the run, only close the files.

        A call that Ctrl-C interrupted is finished by the next one; there is only one end record.

        Args:
            error: The traceback of the exception that ended it.
            moment: When it ended, if not now, in seconds since 1970.

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
        """Close the files without an end record; may be called again. A run that is left reads as crashed."""
        self.close_to_calls()
        self.writer.close()
        self.writer.release()
        self._is_ended = True
        if self.borrowed is not None:
            self.borrowed.close()

    def _end_record(
        self, status: str, metrics: Mapping[str, Any] | None, error: str | None, moment: float | None
    ) -> QueuedRecord:
        self.end_time = moment or time.time()
        self.status = status
        # For imported runs, only the times are known.
        self.duration = time.monotonic() - self._began if moment is None else moment - self.start_time
        fields: dict[str, Any] = {"status": status, "duration": self.duration}
        if metrics:
            fields["metrics"] = dict(metrics)
        if error:
            fields["error"] = error
        if self.is_defined:
            fields["defined"] = True
        if self.writer.dropped:
            fields["dropped"] = self.writer.dropped
        fields["size"] = self.size
        return QueuedRecord(kinds.END, self.end_time, fields)

    def store(self, source: Path, *, copy: bool | float | None) -> dict[str, Any]:
        """Keep the file or folder *source* with the run and return its record's fields; see `Artifacts.store`."""
        if self._artifacts is None:
            self._artifacts = artifact_class()(self.folder, self.birth["run_id"], self.writer.new_artifacts)
        return self._artifacts.store(source, copy=copy)

    def context(self, *, step: int | float | None = None, epoch: int | float | None = None) -> ExperimentContext:
        """Return a snapshot of the run, for a logger at *step* and *epoch*."""
        return context_class()(
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
            metadata={"folder": str(self.folder) if self.is_written else None, "parent_id": self.parent_id},
            step=step,
            epoch=epoch,
        )

    def _latest_metrics(self) -> dict[str, Any]:
        """Return the last value of each metric that this process logged; writes queued records first."""
        self.writer.flush()
        return dict(self.writer.latest)

    @property
    def size(self) -> int:
        """The size of the folder in bytes; 0 if it cannot be read."""
        return journal_modules().size_of(self.folder)


def _say_nothing(line: str) -> None:
    """Show nothing: another process announced the run."""
