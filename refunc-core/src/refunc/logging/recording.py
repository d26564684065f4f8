"""
The calls that record data: params, metrics, artifacts, tags, results. MLLogger and ExperimentTracker share them.

They differ in one thing, which run a call belongs to (`_data_run`), and in how a line reaches the console (`_show`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from pathlib import Path
from time import time
from typing import Any

from refunc.journal import kinds
from refunc.journal.kinds import METRICS
from refunc.journal.levels import EXPERIMENT, RESULT
from refunc.journal.values import (
    INT64_MAX,
    INT64_MIN,
    MAX_KEY,
    is_mapping,
    jsonable,
    jsonable_mapping,
    key_text,
    text_of,
)
from refunc.logging.definition import definition
from refunc.logging.echo import Echo, Shown
from refunc.logging.payload import known, split_metrics, tag_texts
from refunc.logging.places import Places
from refunc.logging.report import warn_once
from refunc.logging.run import ActiveRun
from refunc.logging.steps import whole


class Recorder(Places):
    """Data calls, on whatever run `_data_run` says. None of them raises because of a value, a file or a disk."""

    # See `Places`.
    __slots__ = ("_metric_set",)

    def __init__(self) -> None:
        super().__init__()
        self._echo = Echo()
        self._metric_set = self._echo.metric_set(())  # of the last call, whose names the next one will have

    def _data_run(self) -> ActiveRun | None:
        """Return the run that a data call belongs to; None where none is to be recorded."""
        raise TypeError(f"{type(self).__name__} does not say which run its data belong to.")

    def _show(
        self, level: int, message: str, metrics: Mapping[str, Any], step: Any, epoch: Any, run: ActiveRun
    ) -> None:
        """Show a data call in *run* on the console, where there is one."""

    def _show_metrics(self, metrics: Mapping[str, Any], step: Any, epoch: Any, run: ActiveRun) -> None:
        """Show metrics in an open bar, or else as a line; called when they are due."""

    # -- metrics -----------------------------------------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None, *, epoch: int | None = None) -> None:
        """
        Record numbers at a step: about a microsecond, no lock and no I/O; written within 50 ms by another thread.

        The step is *step*, else a `"step"` key, else what `set_step()` or `step()` left, else, unless an epoch is
        given, a count of such calls in the run. numpy and torch scalars become numbers. A value that is no number is
        kept beside the metrics as what it is, with one warning a name.
        """
        steps = self._place
        if not steps.is_current:
            run = self._data_run()
            if run is None:
                return
            steps = self._steps_in(run)
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
            epoch = whole("epoch", epoch)
        automatic = False
        if type(step) is not int or not -1 < step < 1_000_000_000:  # one digit of an int: compared at once
            step = None if step is None else whole("step", step)
            if step is None:
                step = steps.step
                if step is None and epoch is None:
                    step = next(steps.run.automatic_step)
                    automatic = True
        if epoch is None:
            epoch = steps.epoch
        moment = time()
        writer = steps.writer
        queue = writer.queue
        row = metric_set.values(*values)
        queue.append(metric_set.record(0, moment, METRICS, step, automatic, epoch, row, other, steps.logger))
        if len(queue) > writer.high_water:
            writer.relieve()
        if moment >= metric_set.due and self._echo.is_shown(metric_set, moment):
            self._show_metrics(dict(zip(metric_set.names, values, strict=True)), step, epoch, steps.run)

    def _sorted_out(
        self, metrics: Any, step: Any, epoch: Any
    ) -> tuple[Shown, tuple[Any, ...], Any, Any, dict[str, Any] | None]:
        """Return what a call of `log_metrics` comes to whose names are new, or whose values are no plain numbers."""
        try:
            given = {**metrics}
            own_step, own_epoch = given.pop("step", None), given.pop("epoch", None)
        except Exception:  # no mapping, or one whose own code raises
            given, own_step, own_epoch = metrics, None, None
        plain, other = split_metrics(given)
        metric_set = self._echo.metric_set(tuple(plain))
        metric_set.prepare()
        self._metric_set = metric_set
        step, epoch = own_step if step is None else step, own_epoch if epoch is None else epoch
        return metric_set, tuple(plain.values()), step, epoch, other

    def log_metric(self, name: str, value: Any, step: int | None = None, *, epoch: int | None = None) -> None:
        """Record one number; see `log_metrics`."""
        self.log_metrics({key_text(name): value}, step, epoch=epoch)

    def _log_final(self, metrics: Mapping[str, Any] | None, run: ActiveRun) -> dict[str, Any] | None:
        """Record the final *metrics* at the step that *run* has come to; return the numbers among them, for its end."""
        if metrics is None:
            return None
        run.writer.flush()
        has_step = self._steps_in(run).step is not None or (type(metrics) is dict and "step" in metrics)
        self.log_metrics(metrics, None if has_step else run.writer.last_step)
        return split_metrics(metrics)[0]

    def define_metric(
        self, name: str, *, goal: str | None = None, step_metric: str | None = None, summary: str | None = None
    ) -> None:
        """
        Say how a metric of this run is read: by the command line, in tables and in plots. Written when this returns.

        Args:
            name: A metric's name or a pattern such as `val/*`; of several that match, the later one wins.
            goal: `min` or `max`: which value is the best.
            step_metric: The metric, or `epoch`, that it is drawn against instead of the step.
            summary: What stands for it in a table: `last`, `min`, `max`, `mean`, or `none` to leave it out.

        Raises:
            ValueError: *goal* or *summary* is another word.
        """
        fields = definition(name, goal, step_metric, summary)
        run = self._data_run()
        if run is not None:
            self._join(run)
            run.is_defined = True
            if goal is not None:
                run.bests.define(name, goal)
            run.put_through(kinds.DEFINE, {**fields, "logger": self.name})

    # -- params, tags, results: written when the call returns --------------------------------------------------------

    def log_hyperparams(self, params: Any) -> None:
        """
        Record hyperparameters: a mapping, nested as you like, or a dataclass, attrs or argparse object.

        Written when the call returns. A name that is recorded again takes the later value; both stand in the journal.
        """
        run = self._data_run()
        if run is None:
            return
        self._join(run)
        plain = jsonable_mapping(params)
        changed = [name for name, value in plain.items() if name in run.params and run.params[name] != value]
        if changed:
            warn_once(
                f"params {run.run_id}",
                "log_hyperparams: %s had another value in this run. The later one counts; the journal has both.",
                ", ".join(changed[:5]),
            )
        run.params.update(plain)
        run.put_through(kinds.PARAMS, {"params": plain, "logger": self.name})
        self._show(EXPERIMENT, "params", plain, None, None, run)

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
        run.put_through(kinds.TAGS, {"tags": plain, "logger": self.name})

    def log_tags(self, tags: Mapping[str, Any]) -> None:
        """Tag the run; the same as `add_tags`."""
        self.add_tags(tags)

    def set_tag(self, key: str, value: Any) -> None:
        """Set one tag of the run."""
        self.add_tags({key_text(key): value})

    def log_result(
        self, name: str, value: Any, metadata: Mapping[str, Any] | None = None, *, step: int | None = None
    ) -> None:
        """
        Record an outcome: a RESULT line and a metric, written when the call returns.

        Args:
            value: A number, or a mapping whose keys then name the metrics.
        """
        run = self._data_run()
        if run is None:
            return
        message = text_of(name, MAX_KEY)
        plain, other = split_metrics(value if is_mapping(value) else {message: value})
        steps = run.steps.get(self) or self._steps_in(run)
        fields: dict[str, Any] = {"level": "RESULT", "message": message, "logger": self.name}
        step, epoch = steps.place(step)
        fields.update(known(step=step, epoch=epoch, metrics=plain, other=other))
        if metadata is not None:
            fields["extra"] = {"metadata": jsonable(metadata)}
        run.put_through(kinds.LOG, fields)
        self._show(RESULT, message, {**plain, **(other or {})}, step, epoch, run)

    # -- artifacts ---------------------------------------------------------------------------------------------------

    def log_artifact(
        self,
        path: str | PathLike[str],
        artifact_type: str | None = None,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
    ) -> None:
        """
        Keep a file or folder with the run: a copy is made before this returns, on the calling thread.

        Files above 64 MB are shared by reflink where the file system can, and else recorded as a reference (path, size,
        time of change), which is said once. A missing file is one warning; the run goes on.

        Args:
            copy: True copies whatever the size, False never does.
        """
        run = self._data_run()
        if run is None:
            return
        self._join(run)
        given = text_of(path, MAX_KEY)
        try:
            source = Path(fspath(path))
            fields = run.store(source, copy=copy)
        except Exception as error:  # of the disk, or of a path object's own code
            warn_once(
                f"artifact {given}", "log_artifact: %s was not stored: %s. The run goes on.", given, text_of(error)
            )
            return
        if copy is None and "stored" not in fields:
            warn_once(
                "artifact reference",
                "log_artifact: %s has %s bytes and was recorded as a reference, not copied. Pass copy=True to copy it.",
                given,
                f"{fields['size']:,}",
            )
        shown = text_of(name, MAX_KEY) if name is not None else ""
        shown = shown or text_of(source.name or source, MAX_KEY)
        kind = text_of(artifact_type, MAX_KEY) if artifact_type is not None else None
        fields.update(known(name=shown, type=kind, logger=self.name))
        if metadata is not None:
            fields["metadata"] = jsonable_mapping(metadata)
        run.artifacts.append(shown)
        run.put_through(kinds.ARTIFACT, fields)

    def log_artifacts(
        self, paths: Iterable[str | PathLike[str]] | str | PathLike[str], artifact_type: str | None = None
    ) -> None:
        """Keep several files or folders with the run; see `log_artifact`."""
        try:
            several = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
        except Exception:  # no list, or one whose own code raises
            given = text_of(paths, MAX_KEY)
            warn_once("artifacts", "log_artifacts: %s is no list of paths; nothing was stored. The run goes on.", given)
            return
        for path in several:
            self.log_artifact(path, artifact_type)
