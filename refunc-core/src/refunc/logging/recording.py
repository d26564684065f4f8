"""
The calls that record data: params, metrics, artifacts, tags, results. MLLogger and ExperimentTracker share them.

They differ in the run that a call belongs to (`_data_run`), and in how a line reaches the console (`_show`).
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import TYPE_CHECKING, Any

from refunc.journal import kinds
from refunc.journal.kinds import METRICS
from refunc.logging.active.outcome import status_given
from refunc.logging.active.place import position
from refunc.logging.active.run import ActiveRun
from refunc.logging.arguments import known, named_values, tag_texts
from refunc.logging.artifact_calls import ArtifactCalls
from refunc.logging.console.throttle import Echo, Shown
from refunc.logging.definition import definition
from refunc.logging.formatters.fields import EMPTY, Fields
from refunc.logging.metrics import meant_metrics, pairs_in, split_metrics
from refunc.logging.notices import warn_once
from refunc.values.definitions import MAX_PATTERNS
from refunc.values.jsonable import INT64_MAX, INT64_MIN, is_mapping, jsonable
from refunc.values.levels import EXPERIMENT, RESULT
from refunc.values.texts import MAX_KEY, key_text, text_of

if TYPE_CHECKING:
    from typing_extensions import Self


class Recorder(ArtifactCalls):
    """Data calls on the run that `_data_run` returns. None of them raises because of a value, a file or a disk."""

    # See `Places`.
    __slots__ = ("_metric_set",)

    def __init__(self) -> None:
        super().__init__()
        self._echo = Echo()
        self._metric_set = self._echo.metric_set(())  # of the last call; the next one usually has the same names

    def __copy__(self) -> Self:
        """Return the same object: a run has one writer in a process."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def _show(self, level: int, message: str, fields: Fields) -> None:
        """Show a data call on the console, if there is one."""

    def _show_metrics(self, fields: Fields) -> None:
        """Show metrics in an open bar, or as a line; called when they are due."""

    # -- metrics -----------------------------------------------------------------------------------------------------

    def log_metrics(  # noqa: C901  # the hot path, as `Lines._log`
        self, metrics: Mapping[str, Any], step: float | None = None, *, epoch: float | None = None
    ) -> None:
        """
        Record numbers at a step: about a microsecond, no lock and no I/O; written within 50 ms by another thread.

        The step is the first of: *step*; a `"step"` key; the step set by `set_step()` or `step()`; and, unless an epoch
        is given, a count of such calls in the run. numpy and torch scalars become numbers, and values that hold others
        by name are taken apart: `{"train": {"loss": 0.5}}` is the metric `train/loss`. A value that is missing or not a
        number is kept as it is, apart from the metrics, with one warning for each name.
        """
        place = self._place
        if not place.is_current:
            run = self._data_run()
            if run is None:
                return
            place = self._place_in(run)
        metric_set = self._metric_set
        values: tuple[Any, ...] = ()
        if type(metrics) is dict and len(metrics) == metric_set.width:
            try:
                values = metric_set.pick(metrics)
                for value in values:
                    if type(value) is not float and not (type(value) is int and INT64_MIN <= value <= INT64_MAX):
                        values = ()
                        break
            except Exception:  # another set of names, or a name whose own code raises
                pass
        other: dict[str, Any] | None = None
        if not values:
            metric_set, values, step, epoch, other = self._sorted_out(metrics, step, epoch)
        if epoch is not None and (type(epoch) is not int or not INT64_MIN <= epoch <= INT64_MAX):
            epoch = position("epoch", epoch)
        automatic = False
        if type(step) is not int or not -1 < step < 1_000_000_000:  # one digit of an int: compared at once
            step = None if step is None else position("step", step)
            if step is None:
                step = place.step
                if step is None and epoch is None:
                    step = next(place.run.automatic_step)
                    automatic = True
        if epoch is None:
            epoch = place.epoch
        moment = time()
        writer = place.writer
        queue = writer.queue
        row = metric_set.values(*values)
        queue.append(metric_set.record(0, moment, METRICS, step, automatic, epoch, row, other, place.logger))
        if len(queue) > writer.high_water:
            writer.relieve()
        if moment >= metric_set.due and self._echo.is_shown(metric_set, moment):
            metrics = dict(zip(metric_set.names, values, strict=True))
            self._show_metrics(_fields(place.run, step, epoch, metrics))

    def _sorted_out(
        self, metrics: Any, step: Any, epoch: Any
    ) -> tuple[Shown, tuple[Any, ...], Any, Any, dict[str, Any] | None]:
        """Return the record of a `log_metrics` call with new names, or with values that are not plain numbers."""
        metrics, step = meant_metrics(metrics, step)
        try:
            pairs = pairs_in(metrics)
            given = metrics if pairs is None else dict(pairs)
            own_step, own_epoch = (None, None) if pairs is None else (given.pop("step", None), given.pop("epoch", None))
        except Exception:  # one whose own code raises
            given, own_step, own_epoch = metrics, None, None
        plain, other = split_metrics(given)
        metric_set = self._echo.metric_set(tuple(plain))
        metric_set.prepare()
        self._metric_set = metric_set
        step, epoch = own_step if step is None else step, own_epoch if epoch is None else epoch
        return metric_set, tuple(plain.values()), step, epoch, other

    def log_metric(self, name: str, value: Any, step: float | None = None, *, epoch: float | None = None) -> None:
        """Record one number; see `log_metrics`."""
        self.log_metrics({key_text(name): value}, step, epoch=epoch)

    def _log_final(self, metrics: Mapping[str, Any] | None, run: ActiveRun) -> dict[str, Any] | None:
        """Record the final *metrics* at the last step of *run*; return the numbers among them, for its end."""
        if metrics is None:
            return None
        run.writer.flush()
        has_step = self._place_in(run).step is not None or (type(metrics) is dict and "step" in metrics)
        self.log_metrics(metrics, None if has_step else run.writer.last_step)
        return split_metrics(metrics)[0]

    def _status_given(self, status: object, run: ActiveRun) -> str:
        """
        Return the status that *run* ends with; a word that is not allowed as a status is kept as its tag
        `status`.
        """
        ended_as, refused = status_given(status)
        if refused is not None:
            warn_once(
                f"status {refused}",
                "the status %r is for runs that have not ended, so a run cannot end with it. This run ends as %r, with "
                "the tag status=%r. Use completed, failed, interrupted, or a word of your own.",
                refused,
                ended_as,
                refused,
            )
            if "status" not in run.tags:
                tags = {"status": refused}
                run.tags.update(tags)
                run.put_through(kinds.TAGS, {"tags": tags, "logger": self._logger_name})
        return ended_as

    def define_metric(
        self, name: str, *, goal: str | None = None, step_metric: str | None = None, summary: str | None = None
    ) -> None:
        """
        Define how a metric of this run is read by the command line, in tables and in plots. Written when this returns.

        Args:
            name: A metric's name or a pattern such as `val/*`; if several match, the last one wins.
            goal: `min` or `max`: which value is the best.
            step_metric: The metric, or `epoch`, for the x axis instead of the step.
            summary: The value shown in a table: `last`, `min`, `max`, `mean`, or `none` to leave it out.

        Raises:
            ValueError: *goal* or *summary* is not one of these words.
        """
        fields = definition(name, goal, step_metric, summary)
        run = self._data_run()
        if run is not None:
            self._join(run)
            run.is_defined = True
            if goal is not None and not run.bests.define(name, goal):
                warn_once(
                    f"definitions {run.run_id}",
                    "define_metric: %r is left out: a run has up to %s patterns. Define the metrics with fewer "
                    "patterns.",
                    name,
                    f"{MAX_PATTERNS:,}",
                )
            run.put_through(kinds.DEFINE, {**fields, "logger": self._logger_name})

    # -- params, tags, results: written when the call returns --------------------------------------------------------

    def log_hyperparams(self, params: Any) -> None:
        """
        Record hyperparameters: a mapping, nested as you like, or an object with fields.

        Written when the call returns. For a name that is recorded again the later value counts; the journal has both. A
        field that cannot be read is kept as a short text, with one warning.
        """
        run = self._data_run()
        if run is None:
            return
        self._join(run)
        plain = named_values("log_hyperparams", params, 'log_hyperparams({"lr": 0.1})')
        changed = [name for name, value in plain.items() if name in run.params and run.params[name] != value]
        if changed:
            warn_once(
                f"params {run.run_id}",
                "log_hyperparams: %s had another value in this run. The later one counts; the journal has both.",
                ", ".join(changed[:5]),
            )
        run.params.update(plain)
        run.put_through(kinds.PARAMS, {"params": plain, "logger": self._logger_name})
        self._show(EXPERIMENT, "params", _fields(run, members={"params": plain}))

    def log_params(self, params: Any) -> None:
        """Record hyperparameters; the same as `log_hyperparams`."""
        self.log_hyperparams(params)

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Tag the run. Values become text; a later value of a name wins. Written when the call returns."""
        run = self._data_run()
        if run is None:
            return
        self._join(run)
        plain = tag_texts(tags)
        run.tags.update(plain)
        run.put_through(kinds.TAGS, {"tags": plain, "logger": self._logger_name})

    def log_tags(self, tags: Mapping[str, Any]) -> None:
        """Tag the run; the same as `add_tags`."""
        self.add_tags(tags)

    def set_tag(self, key: str, value: Any) -> None:
        """Set one tag of the run."""
        self.add_tags({key_text(key): value})

    def log_result(
        self, name: str, value: Any, metadata: Mapping[str, Any] | None = None, *, step: float | None = None
    ) -> None:
        """
        Record an outcome: a RESULT line and a metric, written when the call returns.

        Args:
            value: A number, or a mapping whose keys then name the metrics: `accuracy`, or `test/accuracy`, with one
                warning, if another result of the run already has an `accuracy`.
        """
        run = self._data_run()
        if run is None:
            return
        message = text_of(name, MAX_KEY)
        plain, other = split_metrics(value if is_mapping(value) else {message: value})
        plain, other = run.results.apart(message, plain), run.results.apart(message, other or {})
        place = run.places.get(self) or self._place_in(run)
        fields: dict[str, Any] = {"level": "RESULT", "message": message, "logger": self._logger_name}
        step, epoch = place.place(step)
        fields.update(known(step=step, epoch=epoch, metrics=plain, other=other))
        if metadata is not None:
            fields["extra"] = {"metadata": jsonable(metadata)}
        run.put_through(kinds.LOG, fields)
        self._show(RESULT, message, _fields(run, step, epoch, {**plain, **(other or {})}))


def _fields(
    run: ActiveRun,
    step: Any = None,
    epoch: Any = None,
    metrics: Mapping[str, Any] = EMPTY,
    members: Mapping[str, Any] = EMPTY,
) -> Fields:
    """Return the fields of the line that shows a data call in *run*."""
    return Fields(step, epoch, metrics, experiment_id=run.experiment_id, run_id=run.run_id, members=members)
