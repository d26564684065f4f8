"""Keras 3, with any of its backends: a callback for `fit` and `evaluate`."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from os import PathLike
from typing import Any, Literal

from refunc.frameworks import Resume, Training, caller, log_model
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker

with imported_for(__name__, "keras>=3.5"):
    import keras
    import numpy
    from keras.callbacks import CallbackList, ModelCheckpoint

__all__ = ["RefuncCallback"]


class RefuncCallback(keras.callbacks.Callback):
    """
    Logs a training: `model.fit(x, y, callbacks=[RefuncCallback()])`.

    Recorded are the model's config, its optimizer's and the arguments of `fit`; after each epoch the metrics under
    Keras' names and the learning rate, at the epoch, counted from 0, and at the number of batches that the optimizer
    has seen, which goes on with a model that is loaded; the metrics of `evaluate` as results; and the files of
    `ModelCheckpoint`.

    The run is the one that is open, else one of its own: `completed` at the end of `fit`, by early stopping too, and
    `failed` if the training raised. It stays open for `evaluate`, until the next training or the end of the process.
    The console leaves metrics to Keras, unless `verbose=0`.
    """

    #: Keras may call it from another thread.
    async_safe = True

    def __init__(
        self,
        experiment_name: str = "keras",
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        tracker: ExperimentTracker | None = None,
        resume: Resume = None,
        log_every: int | None = None,
        log_model: Literal[False, "end", "checkpoint"] = False,
    ) -> None:
        """
        Args:
            experiment_name: Of a run of its own; see ExperimentTracker for this, `run_name`, `log_dir` and `resume`.
            tracker: The run to log to, if not the one that is open.
            log_every: Also log the metrics of each batch of that number, as `batch/loss`.
            log_model: The files that are copied into the run: each "checkpoint", or the model at the "end". With False,
                the run only refers to the checkpoints.

        Raises:
            ValueError: *log_every* is not a positive number, or another value of *log_model*.
        """
        super().__init__()
        if log_every is not None and not (isinstance(log_every, int) and log_every > 0):
            raise ValueError(f"log_every: {log_every!r} is not a number of batches. Give 1 or more, or None.")
        if log_model not in (False, "end", "checkpoint"):
            raise ValueError(f'log_model: {log_model!r} is not allowed. Allowed: False, "end" and "checkpoint".')
        self._training = Training(experiment_name, run_name, log_dir, tracker=tracker, resume=resume)
        self._log_every, self._log_model = log_every, log_model
        self._fit: Callable[[], CallbackList | None] = _none
        self._epoch = self._batches = 0
        self._checkpoints: list[ModelCheckpoint] = []
        self._logs: dict[str, Any] = {}
        self._kept: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A model holds its callbacks for a while, and may be copied with them.
        return {**vars(self), "_model": None, "_fit": _none, "_checkpoints": []}

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin, with the config of the model."""
        callbacks = caller(CallbackList)
        others = callbacks.callbacks if callbacks is not None else ()
        self._checkpoints = [other for other in others if isinstance(other, ModelCheckpoint)]
        self._training.shows_metrics = not self.params.get("verbose")
        self._tracker = self._training.begin(callbacks, first_step=self._seen() + 1 if self._seen() else 0)
        self._tracker.log_params(_params_of(self.model, self.params))
        self._fit = weakref.ref(callbacks) if callbacks is not None else _none
        self._logs, self._kept = {}, {}

    def _seen(self) -> int:
        """Return the number of batches that the optimizer has seen."""
        optimizer = getattr(self.model, "optimizer", None)
        return int(optimizer.iterations) if optimizer is not None else self._batches

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keep the checkpoints of the epoch before, which Keras may write after this callback was called."""
        self._keep_checkpoints()
        self._epoch, self._batches = epoch, self._seen()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Log the metrics of a batch."""
        if self._log_every is not None and (batch + 1) % self._log_every == 0 and logs:
            metrics = {f"batch/{name}": value for name, value in logs.items()}
            self._tracker.log_metrics(metrics, step=self._batches + batch + 1, epoch=self._epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log the metrics of an epoch."""
        self._logs = dict(logs or {})
        metrics = dict(self._logs)
        rate = getattr(getattr(self.model, "optimizer", None), "learning_rate", None)
        if rate is not None:
            metrics.setdefault("learning_rate", _plain(keras.ops.convert_to_numpy(rate)))
        self._tracker.log_metrics(metrics, step=self._seen(), epoch=epoch)

    def on_train_end(self, logs: Any = None) -> None:
        """Keep the model, if that is wanted, and leave the run open for evaluations."""
        self._keep_checkpoints()
        if self._log_model == "end":
            log_model(self._tracker, "model.keras", self.model.save)
        self._fit = _none
        self._training.rest()

    def on_test_end(self, logs: Any = None) -> None:
        """Log the metrics of `evaluate`; those of a validation are among an epoch's."""
        fit = self._fit()
        if logs and (fit is None or fit is not caller(CallbackList)):
            self._training.tracker.log_result("evaluate", {f"test/{name}": value for name, value in logs.items()})
            self._training.rest()

    def _keep_checkpoints(self) -> None:
        for checkpoint in self._checkpoints:
            try:
                path = checkpoint.filepath.format(epoch=self._epoch + 1, **self._logs)
                written = os.path.getmtime(path)
            except (KeyError, IndexError, OSError):  # not written in this epoch, or named after batches
                continue
            if self._kept.get(path) != written:
                is_new, self._kept[path] = path not in self._kept, written
                if is_new or self._log_model == "checkpoint":
                    copy = None if self._log_model == "checkpoint" else False
                    self._tracker.log_artifact(path, "checkpoint", copy=copy, metadata={"epoch": self._epoch})


def _none() -> None:
    """Stand for the callbacks of `fit` while there are none."""


def _params_of(model: Any, fit: dict[str, Any]) -> dict[str, Any]:
    params: dict[str, Any] = {name: fit.get(name) for name in ("epochs", "steps")}
    with suppress(Exception):  # a model that is written as a class may have none
        params["model"] = model.get_config()
    with suppress(Exception):
        params["parameters"] = model.count_params()
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        config = {"class": type(optimizer).__name__, **optimizer.get_config()}
        config.pop("name", None)  # `adam_1` in a process that had another one before
        params["optimizer"] = {name: _plain(v) if isinstance(v, float) else v for name, v in config.items()}
    params["loss"] = getattr(model, "loss", None)
    return params


def _plain(value: Any) -> float:
    """Return a number of 32 bits as it was written: 0.001, and not 0.0010000000474974513."""
    return float(str(numpy.float32(value)))
