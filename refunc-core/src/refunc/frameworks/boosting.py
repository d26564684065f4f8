"""The shared parts of the callbacks of XGBoost, LightGBM and CatBoost: options, and the records at the end."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any, ClassVar

from refunc.frameworks.models import log_model
from refunc.frameworks.training import Resume, Training
from refunc.logging import ExperimentTracker


class BoostingCallback:
    """A callback of a framework for boosted trees. It may be pickled and copied with a model's params."""

    #: The experiment of a run of its own, and the name of the file that a model is kept in.
    _framework: ClassVar[str]
    _model_file: ClassVar[str]

    def __init__(
        self,
        experiment_name: str | None = None,
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        tracker: ExperimentTracker | None = None,
        resume: Resume = None,
        prefix: str = "",
        log_model: bool = False,
    ) -> None:
        """
        Prepare; nothing is opened before a training begins.

        Args:
            experiment_name: Of a run of its own; default the framework's name. See ExperimentTracker for this,
                `run_name`, `log_dir` and `resume`.
            tracker: The run to log to, if not the one that is open.
            prefix: Stands before each metric's name, for several trainings in one run.
            log_model: Keep the trained model as an artifact, in the framework's own format.
        """
        super().__init__()
        self._training = Training(experiment_name or self._framework, run_name, log_dir, tracker=tracker, resume=resume)
        self._prefix = prefix
        self._is_model_kept = log_model
        self._prepare()

    def _prepare(self) -> None:
        """Set the attributes that one framework needs."""

    def _log_end(
        self,
        tracker: ExperimentTracker,
        best: int | None,
        scores: Any,
        save: Callable[[str], object] | None,
        *,
        step: int | None = None,
    ) -> None:
        """
        Log the best iteration, if there is one, and keep the model, if that is wanted.

        Args:
            best: As the framework counts it.
            scores: The metrics there.
            save: Writes the model to a path; None if there is no single model.
            step: That of the best iteration, if it is another number.
        """
        if best is not None:
            results = {"best_iteration": best, "best": scores}
            tracker.log_result(f"{self._prefix}best", results, step=best if step is None else step)
        if self._is_model_kept and save is not None:
            log_model(tracker, self._model_file, save)
