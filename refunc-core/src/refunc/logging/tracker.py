"""ExperimentTracker: an object for one run, started and ended by hand or by `with`."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any

from refunc.journal.kinds import COMPLETED
from refunc.logging import current
from refunc.logging.active.nowhere import is_disabled
from refunc.logging.active.opening import Resume, checked_id, checked_point, new_run
from refunc.logging.active.outcome import status_of_exception, traceback_of
from refunc.logging.active.parents import Parent, parent_id_of
from refunc.logging.active.run import ActiveRun
from refunc.logging.active.started import remember, started_here
from refunc.logging.arguments import meant_end
from refunc.logging.banner import shown_name
from refunc.logging.guesses import OF_RECORDERS, OF_TRACKERS, answers
from refunc.logging.logger import MLLogger
from refunc.logging.notices import own_log, warn_once
from refunc.logging.run_recorder import RunRecorder
from refunc.outlets.durability import Durability, check_durability
from refunc.processes.parent import has_parent
from refunc.values.paths import store_path

if TYPE_CHECKING:
    from typing_extensions import Self

    from refunc.logging.copies import RunReference


@answers(OF_RECORDERS, OF_TRACKERS)
class ExperimentTracker(RunRecorder):
    """
    One run of an experiment, started and ended by hand, or by `with`.

    Data calls before `start_run()` start it; records after `end_run()` are added after its end. Methods may be called
    from any thread.
    """

    def __init__(
        self,
        experiment_name: str = "default",
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        logger: MLLogger | None = None,
        durability: Durability = "async",
        parent: Parent = None,
        run_id: str | None = None,
        resume: Resume = None,
        resume_step: int | None = None,
    ) -> None:
        """
        Prepare a run; nothing is written before it starts.

        Args:
            log_dir: The store, the folder that the run's folder goes to; default `REFUNC_DIR`, else `./experiments`.
            logger: Shows the run's lines on its console; default the logger `refunc`. Without one, the run's start and
                end are shown if one of the script's own loggers shows lines at EXPERIMENT.
            durability: See MLLogger.
            parent: The parent of this run: its id, its tracker, or its context. Default: the run of the block around
                its start, else that of the main thread, else that of the parent process.
            run_id: The id of the run: each start with the same id goes on in the same run, as `REFUNC_RUN_ID` has it.
            resume: Go on with an earlier run, as its next attempt: its id, its name, its folder, or the result of
                `state_dict()`; True for the newest run of the experiment, and "auto" for the newest that is not
                completed, or a new one.
            resume_step: The step that a resumed run goes on from, by default that of the state. Curves drop the
                values that earlier attempts logged beyond it; nothing is deleted.

        Raises:
            ValueError: An unknown durability; a parent that is not started, or not an id; a step that is not a number;
                a text that cannot be an id, or one beside *resume*.
            TypeError: A parent that is not a run.
        """
        super().__init__(experiment_name, run_name, logger)
        self._given_id = checked_id(run_id, resume)
        self._resume = resume
        self._resume_point = checked_point(resume, resume_step)
        self._store = store_path(log_dir)
        self._is_block = False
        self._is_default_store = log_dir is None
        self._parent_id = parent_id_of(parent)
        self._durability: Durability = check_durability(durability)
        self._logger_name = logger.name if logger is not None else "refunc"

    @classmethod
    def _of(cls, run: ActiveRun, logger: MLLogger) -> ExperimentTracker:
        """Return a tracker that holds *run*, which *logger* has started."""
        tracker = cls(run.experiment_name, run.run_name, run.folder.parent, logger=logger)
        tracker._run = run
        return tracker

    @classmethod
    def _plain(cls, **options: Any) -> Self:
        """Return a tracker made from these options alone, without a subclass's own `__init__`."""
        tracker = cls.__new__(cls)
        ExperimentTracker.__init__(tracker, **options)
        return tracker

    #: The run that it had in the process that pickled it, and that cannot be reached from this one.
    _out_of_reach: RunReference | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the run, or, before its start, the configuration."""
        # Imported here: only programs that send trackers to other processes pay for it.
        from refunc.logging.copies import reference_to, remember, tracker_of

        options = {
            "experiment_name": self.experiment_name,
            "run_name": self._name,
            "log_dir": str(self._store),
            "logger": self._logger,
            "durability": self._durability,
            "parent": self._parent_id,
        }
        reference = self._out_of_reach
        if self._run is not None:
            reference = reference_to(self._run)
            remember(self, self._run.run_id)
        return tracker_of, (type(self), options, self._is_default_store, reference)

    def __repr__(self) -> str:
        return f"<ExperimentTracker {self.experiment_name!r} {self._run.run_id if self._run else 'not started'}>"

    def start_run(self) -> str:
        """
        Open the run and return its id; after its end, open another with the same name. If it is open, return its id.

        A run of the same experiment and name that a tracker started in this thread or asyncio task, and that is still
        open, is ended first, because a notebook's cell that is run again makes a new tracker.
        """
        if self._run is None or not self._run.accepts():
            key = ("tracker", self.experiment_name, self._name, self._store)
            before = started_here(key) if self._name is not None else None
            if before is not None:
                own_log.warning("start_run: run %s was still open and is ended.", shown_name(before))
                current.finish(before, COMPLETED)
            remember(key, self._open())
        return self._open().run_id

    def _open(self) -> ActiveRun:
        """Open a run, unless one is open."""
        if self._run is None or not self._run.accepts():
            self._warn_out_of_reach()
            self._run = new_run(
                experiment=self.experiment_name,
                run_name=self._name,
                store=self._store,
                logger=self._logger_name,
                parent_id=self._parent_id or current.enclosing_id(),
                durability=self._durability,
                run_id=self._given_id,
                resume=self._resume,
                resume_point=self._resume_point,
            )
            self._given_id = self._resume = self._resume_point = None
            current.register(self._run, self._tell, is_block=self._is_block)
        return self._run

    def state_dict(self) -> dict[str, Any]:
        """
        Return the state for a checkpoint, to go on with this run: its id, and the step and epoch of the last metrics.

        Plain values, for `torch.save` and for JSON. Save it with the model, and give it as `resume=`; see also
        `load_state_dict`.
        """
        run = self._open()
        run.writer.flush()
        state = {"run_id": run.run_id, "experiment_name": run.experiment_name, "step": run.writer.last_step}
        return state if run.writer.last_epoch is None else {**state, "epoch": run.writer.last_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """
        Go on from a checkpoint's step: beyond it, values that come now replace those of earlier attempts.

        Args:
            state: The result of `state_dict()`. Before the run's start, the run that it names is continued.

        Raises:
            ValueError: It is the state of another run than the one that is open, or not a state.
        """
        point = checked_point(state, None)
        run = self._run
        if run is None or not run.accepts():
            self._given_id, self._resume, self._resume_point = None, state, point
        elif state.get("run_id") != run.run_id:
            raise ValueError(
                f"load_state_dict: the checkpoint belongs to run {state.get('run_id')}, and run {run.run_id} is open. "
                f"To go on with the former, open it with resume={state.get('run_id')!r}."
            )
        elif point is not None:
            run.rewind(point)

    def end_run(
        self,
        status: str | None = None,
        final_metrics: Mapping[str, Any] | None = None,
        *,
        error: BaseException | None = None,
    ) -> None:
        """
        End the run; its end record is written when this returns. Without an open run, nothing happens.

        Args:
            status: `completed`, `failed`, `interrupted`, or a word of your own; `running`, `crashed` and `unreadable`
                are for runs without an end: one warning, and it ends as `completed`. Default: that of *error*, as at
                the end of a block, and `completed` without one.
            final_metrics: Recorded as metrics, by default at the step of the last ones, and with the end.
            error: The exception that ended it; its traceback goes into the record.
        """
        status, final_metrics = meant_end(status_of_exception(error) if status is None else status, final_metrics)
        run = self._run
        if run is None or not run.accepts():
            return
        if not run.is_own and has_parent():  # this process goes on writing to it
            self._log_final(final_metrics, run)
            run.writer.flush()
            return
        final = self._log_final(final_metrics, run)
        status = self._status_given(status, run)
        trace = traceback_of(error, status) if error is not None else None
        current.finish(run, status, metrics=final, error=trace)

    def __enter__(self) -> Self:
        self._open()  # the block ends it, not a cell that is run again
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_run(error=error)

    def _warn_out_of_reach(self) -> None:
        lost, self._out_of_reach = self._out_of_reach, None
        if lost is not None and not is_disabled():
            own_log.warning(
                "run %s cannot be found in %s from this process: the tracker's records go to a new run.",
                lost.birth["run_id"],
                lost.folder,
            )

    def _data_run(self) -> ActiveRun | None:
        if self._run is None:
            self.start_run()
        elif not self._run.accepts():
            warn_once(
                f"late {self._run.run_id}",
                "run %s has ended; records logged to it now are added after its end.",
                shown_name(self._run),
            )
        return self._run
