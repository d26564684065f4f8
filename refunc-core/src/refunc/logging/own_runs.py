"""Which run a call of a logger means, and the runs that the logger starts and ends itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from refunc.journal.kinds import COMPLETED
from refunc.logging import current
from refunc.logging.active.aside import Aside
from refunc.logging.active.blocks import block_before, left_run
from refunc.logging.active.opening import new_run
from refunc.logging.active.parents import Parent, parent_id_of
from refunc.logging.active.run import ActiveRun
from refunc.logging.active.started import remember, started_here
from refunc.logging.active.waiting import Waiting
from refunc.logging.arguments import meant_end
from refunc.logging.banner import shown_name
from refunc.logging.delivering import Delivering
from refunc.logging.notices import own_log, warn_once
from refunc.logging.recording import Recorder
from refunc.outlets.durability import Durability
from refunc.values.levels import ERROR
from refunc.values.paths import store_path
from refunc.values.texts import text_of

if TYPE_CHECKING:
    from refunc.logging.contexts import StartedExperiment
    from refunc.logging.logger import MLLogger
    from refunc.runs import ExperimentContext


class OwnRuns(Delivering, Recorder):
    """A logger's runs: those that it starts, the implicit one, and its replacement if nothing is tracked."""

    _is_tracking: bool
    _durability: Durability

    def __init__(self) -> None:
        super().__init__()
        self._untracked: ActiveRun | None = None
        #: Records that are in no run, to be read back.
        self._kept = Waiting()

    def _tell(self, line: str) -> None:
        """Show a line about a run on the console."""
        raise TypeError(f"{type(self).__name__} does not say where it shows its lines.")

    def _open_run(self) -> ActiveRun | None:
        """
        Return the open run that this logger started, or one that a logger of its name started in this thread or
        asyncio task.
        """
        run = self._run
        if run is None or not run.accepts():
            run = started_here(("logger", self.name))
            if run is not None and run.is_tracked is not self._is_tracking:
                return None
        return run

    def _own_run(self) -> ActiveRun | None:
        """Return the open run that this logger started, unless the call is in a block that takes precedence."""
        run = self._open_run()
        return None if run is None or (self._is_tracking and block_before(run) is not None) else run

    def _current_run(self) -> ActiveRun | None:
        return self._own_run() or (current.existing_run() if self._is_tracking else self._untracked)

    def _line_run(self, level: int) -> ActiveRun | None:
        if not self._is_tracking:
            return self._data_run()
        run = self._current_run()
        if run is not None:
            return run
        # An error has to reach the integrations, and only runs are delivered.
        must_be_told = level >= ERROR and bool(self.integrations)
        return self._implicit_run() if must_be_told or current.is_ambiguous() else None

    def _data_run(self) -> ActiveRun | None:
        run = self._own_run()
        if run is not None:
            return run
        return (current.existing_run() or self._implicit_run()) if self._is_tracking else self._untracked_run()

    def _untracked_run(self) -> ActiveRun:
        """Return the stand-in for a run that keeps records in memory and passes them to the log files."""
        if self._untracked is None:
            run = self._new_run(self.name, None, implicit=True)
            run.run_id = run.experiment_id = None  # type: ignore[assignment]  # the script asked for no run
            self._untracked = run
        return self._untracked

    def _is_current(self, run: ActiveRun) -> bool:
        if not self._is_tracking:
            return run.is_open and run is (self._own_run() or self._untracked)
        if self._run is not run:
            return current.is_only(run)
        return run.is_open and not current.may_be_passed_over(run)

    def _joined(self, run: ActiveRun) -> None:
        super()._joined(run)
        own = self._open_run() if run.is_block else None
        if own is not None and block_before(own) is run:
            warn_once(
                f"beside {own.run_id}",
                "logger %s: run %s, which it started, is still open. Inside this block its calls go to run %s, and "
                "after the block to its own run again; end_experiment() ends that run.",
                self.name,
                shown_name(own),
                shown_name(run),
            )

    def _implicit_run(self) -> ActiveRun:
        return current.implicit_run(self._open_implicit)

    def _open_implicit(self) -> ActiveRun:
        run = self._new_run(self.name, None, implicit=True)
        current.register(run, self._tell)
        return run

    def _new_run(
        self, experiment: str, run_name: str | None, *, parent_id: str | None = None, implicit: bool = False
    ) -> ActiveRun:
        run = new_run(
            experiment=experiment,
            run_name=run_name,
            store=store_path(),
            logger=self.name,
            parent_id=parent_id,
            durability=self._durability,
            implicit=implicit,
            is_tracked=self._is_tracking,
        )
        if isinstance(run.writer, Aside):
            run.writer.kept = self._kept
        return run

    def start_experiment(
        self,
        experiment_name: str,
        run_name: str | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        parent: Parent = None,
    ) -> StartedExperiment:
        """
        Open a run for this logger, in all threads. Inside an `experiment_context` that is entered later, or in another
        thread, the run of that block comes first.

        A run that it still has open is ended first. So is one that another logger of its name started in this thread or
        asyncio task, because a notebook's cell that is run again makes a new logger.

        The same name again is a new run. The run ends with `end_experiment()`, with the block if this is used in a
        `with` statement, or with the process.

        With `experiment_tracking=False` the run is in memory only, and the log files note its start and end.

        Args:
            parent: The parent of this run; see ExperimentTracker.

        Raises:
            TypeError, ValueError: A parent that is not a run.
        """
        parent_id = parent_id_of(parent)
        before = self._open_run()
        if before is not None:
            if before.is_own:
                own_log.warning("start_experiment: run %s was still open and is ended.", shown_name(before))
            self.end_experiment()
        if parent_id is None and self._is_tracking:
            parent_id = current.enclosing_id()
        name = text_of(run_name) if run_name is not None else None
        run = self._new_run(text_of(experiment_name), name, parent_id=parent_id)
        if run.is_tracked:
            current.register(run, self._tell)
        else:
            run.start()
        self._run = self._last_run = run
        remember(("logger", self.name), run)
        if parameters is not None:
            self.log_hyperparams(parameters)
        if tags is not None:
            self.add_tags(tags)
        # These use attrs, which only a script with runs needs.
        from refunc.logging.contexts import StartedExperiment

        return StartedExperiment.of(self._context(run), run, cast("MLLogger", self))

    def end_experiment(self, status: str = COMPLETED, final_metrics: Mapping[str, Any] | None = None) -> None:
        """
        End the run that this logger started, or one of its name in this thread, or the implicit one. The end record is
        written when this returns.

        Args:
            status: `completed`, `failed`, `interrupted`, or a word of your own; `running`, `crashed` and `unreadable`
                describe runs that have not ended: with these, the run ends as `completed`, with one warning.
            final_metrics: Recorded as metrics, by default at the step of the last ones, and with the end. A mapping
                that is given as the status is used as these, with one warning.
        """
        status, final_metrics = meant_end(status, final_metrics)
        run = self._open_run()
        if run is None and self._is_tracking:
            run = next((run for run in current.open_runs() if run.implicit), None)
        if run is None:
            own_log.warning("end_experiment: logger %s has no run open.", self.name)
            return
        final = self._log_final(final_metrics, run)
        current.finish(run, self._status_given(status, run), metrics=final)
        self._run, self._last_run = None, run
        self._place = self._loose_place

    def get_experiment_context(self) -> ExperimentContext | None:
        """Return a snapshot of the current run, or of the last one after its end; None before the first."""
        run = self._run_to_read()
        if run is not None and run is self._untracked:
            last = self._last_run
            run = None if last is run or (last is not None and last.is_tracked) else last
        return self._context(run) if run is not None else None

    def _context(self, run: ActiveRun) -> ExperimentContext:
        here, loose = run.places.get(self), self._loose_place
        step, epoch = (loose.step, loose.epoch) if here is None else here.reached()
        if not run.accepts():  # steps counted since its end come first
            step = step if loose.step is None else loose.step
            epoch = epoch if loose.epoch is None else loose.epoch
        return run.context(step=step, epoch=epoch)

    def _run_to_read(self) -> ActiveRun | None:
        """
        Return the current run, or the last one that this logger started, logged to, or was in the block of.

        A logger without such a run reads the process's last run.
        """
        if not self._is_tracking:
            return self._own_run() or self._untracked_run()
        run = self._current_run()
        if run is not None:
            return run
        known = [run for run in (self._last_run, left_run()) if run is not None]
        return max(known, key=_ended_as, default=current.last_ended)


def _ended_as(run: ActiveRun) -> int:
    return run.ended_as
