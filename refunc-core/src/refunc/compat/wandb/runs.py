"""`wandb.Run`: one run, with W&B's names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from time import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from refunc.compat.wandb import current
from refunc.compat.wandb.alerts import AlertLevel, Alerts
from refunc.compat.wandb.artifact_calls import ArtifactCalls
from refunc.compat.wandb.configs import Config
from refunc.compat.wandb.definitions import Definitions, Metric, metric_of
from refunc.compat.wandb.earlier import Earlier
from refunc.compat.wandb.files import Files
from refunc.compat.wandb.history import History
from refunc.compat.wandb.media import as_media
from refunc.compat.wandb.missing import no_such
from refunc.compat.wandb.nowhere import NoTracker
from refunc.compat.wandb.summaries import Summary
from refunc.logging import ExperimentTracker
from refunc.logging.notices import warn_once

if TYPE_CHECKING:
    from typing_extensions import Self


class Run(ArtifactCalls):
    """
    A run of refunc, with the calls of W&B's.

    Methods may be called from any thread. A `with` block ends the run: `failed` after an exception, `interrupted` after
    Ctrl-C.
    """

    url: str | None = None
    project_url: str | None = None
    sweep_id: str | None = None
    sweep_url: str | None = None
    offline = True

    def __init__(self, tracker: ExperimentTracker | NoTracker, facts: Mapping[str, Any], earlier: Earlier) -> None:
        """
        Args:
            tracker: The run beneath, which is open.
            facts: The arguments of `init`.
            earlier: The values of the run's earlier attempts.
        """
        super().__init__(tracker, facts)
        self._is_preempting = False
        self._files = Files(tracker)
        self._alerts = Alerts(tracker.logger)
        self._definitions = Definitions()
        self.resumed = earlier.is_there
        self.starting_step = earlier.next_step
        self.start_time = time()
        self._history = History(tracker.log_metrics, self._files.keep, self._note, first=earlier.next_step)
        is_free = bool(facts.get("allow_val_change")) or earlier.is_there
        self.config = Config(tracker.log_hyperparams, earlier.config, is_free=is_free)
        self.summary = Summary(self._record, self._latest, self._statistics, self._definitions, earlier.summary)

    def __getattr__(self, name: str) -> Any:
        raise no_such("a run of refunc.compat.wandb", name, dir(type(self)))

    def __repr__(self) -> str:
        return f"<Run {self.path}>"

    def __copy__(self) -> Self:
        """Return the same object: a run has one counter of steps in a process."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the run, for another process, and its step."""
        return _unpickled, (self._tracker, self._facts, self.step)

    # -- facts -------------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name, or the id if it has none."""
        return str(self._facts.get("name") or self.id)

    @name.setter
    def name(self, name: str) -> None:
        self._tag("name", name)

    @property
    def entity(self) -> str:
        """The entity, as it was given; it has no meaning here."""
        return str(self._facts.get("entity") or "")

    @property
    def group(self) -> str:
        """The group, a tag of the run."""
        return str(self._facts.get("group") or "")

    @property
    def job_type(self) -> str:
        """The type of the job, a tag of the run."""
        return str(self._facts.get("job_type") or "")

    @property
    def notes(self) -> str | None:
        """The notes, a tag of the run."""
        notes = self._facts.get("notes")
        return None if notes is None else str(notes)

    @notes.setter
    def notes(self, notes: str) -> None:
        self._tag("notes", notes)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags without values. Assigning adds those that are new; none is removed."""
        return tuple(self._facts.get("tags") or ())

    @tags.setter
    def tags(self, tags: Sequence[str]) -> None:
        self._facts["tags"] = tuple(dict.fromkeys((*self.tags, *tags)))
        self._tracker.add_tags(dict.fromkeys(self._facts["tags"], ""))

    @property
    def dir(self) -> str:
        """A folder for files that belong to the run; they are artifacts of it at its end."""
        return str(self._files.folder)

    @property
    def path(self) -> str:
        """The project and the id."""
        return f"{self.project}/{self.id}"

    @property
    def step(self) -> int:
        """The step of the row that the next `log` adds to."""
        return self._history.step

    @property
    def disabled(self) -> bool:
        """Whether nothing is written."""
        return isinstance(self._tracker, NoTracker)

    # -- data --------------------------------------------------------------------------------------------------------

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """
        Record numbers, texts and files at a step.

        Written within 50 ms. Without *step*, each call is a step of its own; with it, calls of one step belong
        together, and a step that is smaller than the last one is kept as well. `commit=False` keeps the values until
        the next call. Nested names are joined with a dot. Never raises because of a value.
        """
        self._history.log(data, step, commit)

    def define_metric(
        self,
        name: str,
        step_metric: str | Metric | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        overwrite: bool | None = None,
        goal: str | None = None,
    ) -> Metric:
        """
        Define the x axis, the summary and the goal of a metric, or of all that a pattern such as `val/*` matches.

        Raises:
            Error: A word that W&B does not have either.
        """
        metric = metric_of(name, step_metric, step_sync, hidden, summary, goal)
        self._definitions.add(metric)
        if metric.step_metric == "epoch" and step_sync is not False:
            self._history.carries_epoch = True
        if metric.step_metric or metric.shown or metric.goal:
            self._tracker.define_metric(name, goal=metric.goal, step_metric=metric.step_metric, summary=metric.shown)
        return metric

    def alert(
        self,
        title: str,
        text: str,
        level: str | AlertLevel | None = None,
        wait_duration: float | timedelta | None = None,
    ) -> None:
        """
        Log a line at a level; the same title is not repeated within *wait_duration*, by default 60 seconds.

        Raises:
            ValueError: A level that does not exist.
        """
        self._alerts.tell(title, text, level, wait_duration)

    def watch(self, models: Any = None, *args: Any, **options: Any) -> None:
        """Do nothing; one warning says so."""
        warn_once("wandb-watch", 'watch: gradients are not recorded. Log those that you need: log({"grad_norm": ...}).')

    def unwatch(self, models: Any = None) -> None:
        """Do nothing."""

    # -- files -------------------------------------------------------------------------------------------------------

    def save(
        self,
        glob_str: str | os.PathLike[str],
        base_path: str | os.PathLike[str] | None = None,
        policy: str = "live",
        glob: bool = True,
    ) -> list[str]:
        """Keep the files that a pattern matches; those that have changed by the run's end are kept again."""
        return self._files.save(glob_str, base_path, policy)

    # -- the end -----------------------------------------------------------------------------------------------------

    def mark_preempting(self) -> None:
        """Say that the run is about to be stopped: an end that is not a success is then `preempted`."""
        self._is_preempting = True

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """End the run: `completed`, or `failed` for an *exit_code* other than 0. Written when it returns."""
        self._settle()
        current.ended(self)
        self._tracker.end_run("completed" if not exit_code else "preempted" if self._is_preempting else "failed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._settle()
        current.ended(self)
        if error is not None and self._is_preempting:
            self._tracker.end_run("preempted", error=error)
        else:
            self._tracker.__exit__(kind, error, trace)

    def _settle(self) -> None:
        """Write the values of `commit=False` that wait for the end, and files that have changed since `save`."""
        if self._is_open:
            self._history.flush()
            self._files.settle()

    @property
    def _is_open(self) -> bool:
        """Whether the run has not ended."""
        return self._tracker.status == "running"

    # -- inside ------------------------------------------------------------------------------------------------------

    def _label(self, *args: Any, **labels: Any) -> None:
        """Do nothing: frameworks tell W&B their names with it."""

    def _tag(self, name: str, value: Any) -> None:
        self._facts[name] = value
        self._tracker.set_tag(name, value)

    def _record(self, name: str, value: Any) -> None:
        """Record a value that was assigned to the summary."""
        media = as_media(value)
        if media is None:
            self._tracker.log_result(name, value)
        for place, each in enumerate(media or ()):
            self._files.keep(name, each, self.step, f"_summary_{place}")

    def _note(self, values: Mapping[str, Any], heads: Sequence[str] = ()) -> None:
        self.summary.note(values, heads)

    def _latest(self) -> Mapping[str, Any]:
        context = self._tracker.context
        return context.metrics if context is not None else {}

    def _statistics(self) -> Mapping[str, Any]:
        from refunc.runs import Run as StoredRun

        folder = self._tracker.folder
        return StoredRun.open(folder).summary.metrics if folder is not None else {}


def _unpickled(tracker: ExperimentTracker | NoTracker, facts: Mapping[str, Any], step: int) -> Run:
    context = tracker.context
    return Run(tracker, facts, Earlier(next_step=step, config=dict(context.parameters) if context is not None else {}))
