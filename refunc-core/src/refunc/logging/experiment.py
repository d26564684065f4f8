"""Runs by name: `experiment_context`, which binds one to a block, and ExperimentTracker, which holds one in hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from refunc.journal.kinds import COMPLETED, INTERRUPTED
from refunc.journal.outlet import Durability, check_durability
from refunc.journal.values import text_of
from refunc.logging import current
from refunc.logging.levels import LogLevel
from refunc.logging.logger import MLLogger
from refunc.logging.recording import Recorder
from refunc.logging.report import warn_once
from refunc.logging.run import ActiveRun, new_run
from refunc.logging.setup import get_logger
from refunc.runs.store import store_path

if TYPE_CHECKING:
    from typing_extensions import Self

    from refunc.runs import ExperimentContext


class ExperimentTracker(Recorder):
    """
    One run of an experiment, started and ended by hand, or by `with`.

    Data calls before `start_run()` start it; what comes after `end_run()` is added behind its end.
    Methods may be called from any thread.
    """

    def __init__(
        self,
        experiment_name: str = "default",
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        logger: MLLogger | None = None,
        durability: Durability = "async",
    ) -> None:
        """
        Prepare a run; nothing is written before it starts.

        Args:
            log_dir: The store, the folder that the run's folder goes to; default `REFUNC_DIR`, else `./experiments`.
            logger: Shows the run's lines on its console; default the logger `refunc`.
            durability: See MLLogger.

        Raises:
            ValueError: An unknown durability.
        """
        super().__init__()
        self.experiment_name = text_of(experiment_name)
        self._name = text_of(run_name) if run_name is not None else None
        self._store = store_path(log_dir)
        self._logger = logger
        self._durability: Durability = check_durability(durability)
        self.name = logger.name if logger is not None else "refunc"

    def __repr__(self) -> str:
        return f"<ExperimentTracker {self.experiment_name!r} {self._run.run_id if self._run else 'not started'}>"

    @property
    def logger(self) -> MLLogger:
        """The logger that shows this run's lines."""
        return self._logger if self._logger is not None else get_logger()

    @property
    def run_id(self) -> str | None:
        """The run's id; None before its start."""
        return self._run.run_id if self._run is not None else None

    @property
    def run_name(self) -> str | None:
        """The run's name as given."""
        return self._name

    @property
    def folder(self) -> Path | None:
        """The run's folder; None before its start."""
        return self._run.folder if self._run is not None else None

    @property
    def context(self) -> ExperimentContext | None:
        """A snapshot of the run; None before its start."""
        if self._run is None:
            return None
        steps = self._steps_in(self._run)
        return self._run.context(step=steps.step, epoch=steps.epoch)

    def start_run(self) -> str:
        """Open the run and return its id; after its end, open another with the same name. Open already: its id."""
        if self._run is None or not self._run.accepts():
            self._run = new_run(
                experiment=self.experiment_name,
                run_name=self._name,
                store=self._store,
                logger=self.name,
                parent=current.ambient_run(),
                durability=self._durability,
            )
            current.register(self._run, self._tell)
        return self._run.run_id

    def end_run(
        self,
        status: str = COMPLETED,
        final_metrics: Mapping[str, Any] | None = None,
        *,
        error: BaseException | None = None,
    ) -> None:
        """
        End the run; its end record is written when this returns. Without an open run, nothing happens.

        Args:
            status: `completed`, `failed`, `interrupted`, or a word of your own.
            final_metrics: Recorded as metrics, by default at the step of the last ones, and with the end.
            error: What ended it; its traceback goes into the record.
        """
        run = self._run
        if run is None or not run.accepts():
            return
        final = self._log_final(final_metrics, run)
        trace = current.format_error(error) if error is not None and status != COMPLETED else None
        current.finish(run, text_of(status, 100), metrics=final, error=trace)

    def flush(self, *, sync: bool = False) -> bool:
        """Write everything recorded before this call; with *sync*, force it to disk. False where it was not done."""
        return self._run is None or self._run.writer.flush(sync=sync)

    def __enter__(self) -> Self:
        self.start_run()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_run(current.status_of_exception(error), error=error)

    def _tell(self, line: str) -> None:
        self.logger._say(LogLevel.EXPERIMENT, line)

    def _data_run(self) -> ActiveRun | None:
        if self._run is None:
            self.start_run()
        elif not self._run.accepts():
            warn_once(
                f"late {self._run.run_id}", "run %s has ended; what is logged to it now is added behind its end.", self
            )
        return self._run

    def _current_run(self) -> ActiveRun | None:
        return self._run

    def _joined(self, run: ActiveRun) -> None:
        self.logger._joined(run)

    def _show(
        self, level: int, message: str, metrics: Mapping[str, Any], step: Any, epoch: Any, run: ActiveRun
    ) -> None:
        self.logger._show(level, message, metrics, step, epoch, run)

    def _show_metrics(self, metrics: Mapping[str, Any], step: Any, epoch: Any, run: ActiveRun) -> None:
        self.logger._show_metrics(metrics, step, epoch, run)


@contextmanager
def experiment_context(
    experiment_name: str,
    run_name: str | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    log_dir: str | PathLike[str] | None = None,
    logger: MLLogger | None = None,
    durability: Durability = "async",
) -> Iterator[ExperimentTracker]:
    """
    Run a block as a run: what any logger logs in it, in this thread or asyncio task, belongs to that run.

    It ends as the block does: `completed`; `failed` with the traceback, for `sys.exit` with a code too; `interrupted`
    by Ctrl-C. The exception goes on. Blocks nest: the inner run knows its parent, and the outer one is restored.
    See ExperimentTracker for the options.
    """
    tracker = ExperimentTracker(experiment_name, run_name, log_dir, logger=logger, durability=durability)
    with tracker:
        outer = current.ambient.get()
        current.ambient.set(tracker._run)
        try:
            if parameters is not None:
                tracker.log_hyperparams(parameters)
            if tags is not None:
                tracker.add_tags(tags)
            yield tracker
        except GeneratorExit as error:
            if not _was_thrown(error):
                tracker.end_run(INTERRUPTED)
            raise
        finally:
            # Not a token's reset(): a generator or a fixture may leave the block in another context.
            current.ambient.set(outer)


def _was_thrown(error: GeneratorExit) -> bool:
    """
    Whether *error* comes from the block, a generator that was closed; False where nobody ended the block.

    That is Ctrl-C in a loop right in the block in CPython 3.13, which forgets the end of the `with` at some jumps
    (https://github.com/python/cpython/issues/130279), so that the block's end is collected like other garbage.
    """
    return error.__traceback__ is not None and error.__traceback__.tb_next is not None
