"""Optuna: an objective whose trials are runs."""

from __future__ import annotations

import math
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from os import PathLike
from typing import Any

from refunc.frameworks import Training, run_around
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker, MLLogger, experiment_context
from refunc.runs import open_store

with imported_for(__name__, "optuna>=4"):
    from optuna.exceptions import TrialPruned
    from optuna.study import Study, StudyDirection
    from optuna.trial import Trial

__all__ = ["RefuncObjective"]

#: The attribute of studies and trials that has the id of their run.
_RUN = "refunc_run"


class RefuncObjective:
    """
    Makes each trial of a study a run: `study.optimize(RefuncObjective(objective), n_trials=100)`.

    The study's run is the one that is open, else one of its own, and a trial's run is a child of it: with the trial's
    params, its user attributes as tags, the values that it reported as the metric `intermediate_value` at its steps,
    and its values as results. The records of the objective, and of adapters in it, go there too, with any `n_jobs`. A
    trial is `completed`, `pruned`, or `failed`. Both have the id of their run as the user attribute `refunc_run`.

    The study's run has the value of each trial, with the trial's number as the step, `best_value` and `best_trial` as
    results, and Optuna's lines. It ends with the last reference to this object, and stays open for another `optimize`
    until then. A study that is loaded from a storage goes on with its run.
    """

    def __init__(
        self,
        objective: Callable[[Trial], float | Sequence[float]],
        experiment_name: str | None = None,
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
    ) -> None:
        """
        Args:
            objective: Called with the trial, as by Optuna.
            experiment_name: Of a run of its own, and of the trials; default the study's name, or that of the run
                around.
            run_name: The name of the study's run; default that of the study.
            log_dir: The store; default `REFUNC_DIR`, else `./experiments`.

        Raises:
            TypeError: *objective* cannot be called.
        """
        if not callable(objective):
            raise TypeError(f"objective: {objective!r} is not a function of a trial.")
        self._objective = objective
        self._names = experiment_name, run_name, log_dir
        self._around = run_around()
        self._of: _StudyRun | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_of", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _of=None, _lock=threading.Lock())

    def __call__(self, trial: Trial) -> float | Sequence[float]:
        """
        Run a trial. Raises the objective's exceptions.

        A trial of no study, such as `FixedTrial`, has no run: the objective is called, and no more.
        """
        if not isinstance(trial, Trial):
            return self._objective(trial)
        with self._lock:
            study = self._study_run(trial.study)
            study.enter()
        # The exceptions with which the study goes on. Optuna does not tell them: they are an argument of `optimize`,
        # which is passed on to the function that calls this one.
        may_fail = sys._getframe(1).f_locals.get("catch", ())
        is_over = False
        try:
            with experiment_context(**study.options, run_name=f"trial_{trial.number}", logger=_quiet()) as run:
                trial.set_user_attr(_RUN, run.run_id)
                try:
                    values = self._objective(trial)
                finally:
                    _log_trial(run, trial)
                figures = _figures(values, study.names)
                if figures:
                    run.log_result("values", figures)
                else:  # Optuna takes no such value, and calls the trial failed
                    run.end_run("failed")
            with self._lock:
                study.log(trial.number, figures)
            is_over = True
        except (TrialPruned, *may_fail):
            is_over = True
            raise
        finally:
            with self._lock:
                study.leave(is_over=is_over)
        return values

    def _study_run(self, study: Study) -> _StudyRun:
        if self._of is None or self._of.name != study.study_name:
            if self._of is not None:
                self._of.training.leave()
            around = self._around if self._around is not None and self._around.status == "running" else run_around()
            self._of = _StudyRun(study, around, *self._names)
            weakref.finalize(self, self._of.training.leave).atexit = False
        return self._of


class _StudyRun:
    """The run of a study, in this process."""

    def __init__(
        self, study: Study, around: ExperimentTracker | None, experiment: str | None, run_name: str | None, store: Any
    ) -> None:
        self.name = study.study_name
        known = study.user_attrs.get(_RUN)
        is_named = not self.name.startswith("no-name-")
        if around is not None and around.context is not None:
            experiment = experiment or around.context.experiment_name
            store = store or (around.folder.parent if around.folder is not None else None)
        experiment = experiment or (self.name if is_named else "optuna")
        given = experiment, run_name or (self.name if is_named else None), store
        options: dict[str, Any] = {"tracker": around, "shows_metrics": False, "lines_of": ("optuna",)}
        self.training = Training(*given, resume=known if around is None else None, **options)
        self.tracker: ExperimentTracker | None = None
        try:
            self.tracker = self.training.begin()
        except ValueError:  # another process of the study has it open, or it is gone
            if known not in {run.run_id for run in open_store(store).runs()}:
                self.training = Training(*given, **options)
                self.tracker = self.training.begin()
        self.options = {
            "experiment_name": experiment,
            "log_dir": store,
            "parent": self.tracker.run_id if self.tracker is not None else known,
        }
        self.names = _names_of_values(study)
        self._running = 0
        self._sign = -1 if study.directions[0] == StudyDirection.MAXIMIZE else 1
        self._best = _best_value(study)
        if self.tracker is not None:
            study.set_user_attr(_RUN, self.tracker.run_id)
            for name, direction in zip(self.names, study.directions, strict=True):
                self.tracker.define_metric(name, goal=_GOALS[direction])
                self.tracker.define_metric(f"best_{name}", goal=_GOALS[direction])
            self.tracker.shows_metrics = False  # Optuna shows them

    def enter(self) -> None:
        self._running += 1
        self.training.go_on()

    def leave(self, *, is_over: bool) -> None:
        self._running -= 1
        if is_over and not self._running and self.training.is_own:
            self.training.rest()

    def log(self, number: int, figures: dict[str, float]) -> None:
        """Log the values of a trial, and whether they are the best ones so far."""
        if self.tracker is None or not figures:
            return
        self.tracker.log_metrics(figures, step=number)
        (name, value), *more = figures.items()
        if not more and (self._best is None or self._sign * value < self._sign * self._best):
            self._best = value
            self.tracker.log_result("best trial", {f"best_{name}": value, "best_trial": number}, step=number)


def _names_of_values(study: Study) -> list[str]:
    if study.metric_names:
        return list(study.metric_names)
    count = len(study.directions)
    return ["value"] if count == 1 else [f"value_{at}" for at in range(count)]


def _best_value(study: Study) -> float | None:
    """Return the best value so far; None without a complete trial, and with several values a trial."""
    if len(study.directions) == 1:
        with suppress(ValueError):  # no trial is complete
            best: float = study.best_value
            return best
    return None


_GOALS = {StudyDirection.MINIMIZE: "min", StudyDirection.MAXIMIZE: "max", StudyDirection.NOT_SET: None}


@cache
def _quiet() -> MLLogger:
    """Return the logger of trials: Optuna shows a line for each."""
    return MLLogger("refunc.optuna", "WARNING")


def _log_trial(run: ExperimentTracker, trial: Trial) -> None:
    """Log the params of *trial*, and the values that it has reported."""
    known = run.params
    run.log_params({name: value for name, value in trial.params.items() if not _is_same(known.get(name), value)})
    attributes = {name: value for name, value in trial.user_attrs.items() if name != _RUN}
    if attributes:
        run.add_tags(attributes)
    # By its id, of which Optuna has only the private name: the study would return all of its trials.
    frozen = trial.storage.get_trial(trial._trial_id)
    for step, value in frozen.intermediate_values.items():
        run.log_metrics({"intermediate_value": value}, step=step)


def _is_same(known: Any, value: Any) -> bool:
    """Whether an adapter in the trial has logged the param: XGBoost's have 32 bits."""
    both = isinstance(known, float) and isinstance(value, float)
    return known == value or (both and math.isclose(known, value, rel_tol=1e-6))


def _figures(values: Any, names: Sequence[str]) -> dict[str, float]:
    """Return the values of a trial by name; none if Optuna takes them for a failure."""
    try:
        figures = [float(value) for value in (values if isinstance(values, Sequence) else (values,))]
    except (TypeError, ValueError):
        return {}
    is_whole = len(figures) == len(names) and not any(map(math.isnan, figures))
    return dict(zip(names, figures, strict=True)) if is_whole else {}
