"""The logger of Lightning's Trainer and of Fabric."""

from __future__ import annotations

import importlib
import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from importlib.util import find_spec
from multiprocessing.context import get_spawning_popen
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

from refunc.frameworks import Resume, Training
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker
from refunc.runs import open_store

with imported_for(__name__, "lightning>=2.5", "lightning_utilities", "lightning"):
    from lightning_utilities.core.rank_zero import rank_zero_only

__all__ = ["RefuncLogger"]

#: The packages that Lightning is published as. They have classes of their own, and a script imports one of them.
_PACKAGES: Final = ("lightning.pytorch", "pytorch_lightning", "lightning_fabric")
_LINES_OF: Final = ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric")
_imported = next((name for name in _PACKAGES if name in sys.modules), None)
_package = _imported or next(name for name in _PACKAGES if find_spec(name.partition(".")[0]) is not None)
_base: Any = importlib.import_module(f"{_package}.loggers.logger")


class RefuncLogger(_base.Logger):
    """
    Logs a training as a run: `Trainer(logger=RefuncLogger(name="vision"))`, or `Fabric(loggers=RefuncLogger())`.

    The run is the one that is open around the training, or one of its own. It has the hyperparameters, each metric at
    its step and epoch, the checkpoints, and Lightning's log lines. Rank 0 logs; the console leaves metrics to
    Lightning's bar.

    A run of its own ends with `fit`, `validate`, `test` or `predict`: `completed`, or `failed`, `interrupted` or
    `preempted` with the exception that ended it. Later records are those of the next attempt of the run. A `fit` with
    `ckpt_path` goes back to the checkpoint's step: points that earlier attempts logged beyond it no longer count.
    """

    LOGGER_JOIN_CHAR = "-"

    def __init__(
        self,
        save_dir: str | PathLike[str] | None = None,
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        prefix: str = "",
        log_model: Literal["all"] | bool = False,
        *,
        experiment: ExperimentTracker | None = None,
        resume: Resume = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Prepare; nothing is written before the first use.

        Args:
            save_dir: The store; default `REFUNC_DIR`, else `./experiments`. Checkpoints go to `name/version` in it.
            name: The experiment.
            version: The run's name; default its id.
            prefix: Stands before the names of metrics, as in `prefix-loss`.
            log_model: The checkpoints that are copied into the run: "all", also those that Lightning deletes later, or,
                with True, those that are left at the end. With False, the run refers to the best and the last one.
            experiment: The run to log to, whatever is open; the logger never ends it.
            resume: The run to go on with, as for ExperimentTracker, or a checkpoint in the folder of its run.

        Raises:
            ValueError: Another value of *log_model*, or a checkpoint that is not there.
        """
        super().__init__()
        if log_model not in (False, True, "all"):
            raise ValueError(f'log_model: {log_model!r} is not allowed. Allowed: False, True and "all".')
        for package in _PACKAGES:
            # Another thread may be importing it; a class is complete as soon as it has a name.
            base = getattr(sys.modules.get(f"{package}.loggers.logger"), "Logger", None)
            if base is not None:
                base.register(type(self))
        self._save_dir = os.fspath(open_store().path if save_dir is None else save_dir)
        self._name = name or "lightning_logs"
        self._version = version
        self._prefix, self._log_model, self._tags = prefix, log_model, tags
        self._training = Training(
            self._name,
            f"version_{version}" if isinstance(version, int) else version,
            self._save_dir,
            tracker=experiment,
            resume=_run_of(resume),
            has_end=False,
            goes_on=True,
            shows_metrics=False,
            lines_of=_LINES_OF,
        )
        self._experiment: ExperimentTracker | None = experiment
        self._callbacks: dict[str, Any] = {}
        self._kept: dict[str, float] = {}
        self._names: set[str] = set()
        self._has_epochs = self._is_rewound = self._is_requeued = False

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the callbacks of a Trainer. Ranks that are spawned from here on go on with one run."""
        if get_spawning_popen() is not None and self._experiment is None and rank_zero_only.rank == 0:
            _ = self.experiment
            self._training.end("spawned")
        return {**vars(self), "_callbacks": {}}

    @property
    @_base.rank_zero_experiment
    def experiment(self) -> ExperimentTracker:
        """The tracker of the run, for calls of your own: `self.logger.experiment.log_artifact(...)`."""
        is_new = self._experiment is None
        self._experiment = tracker = self._training.tracker
        if is_new and self._tags is not None:
            tracker.add_tags(self._tags)
        return tracker

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self._name

    @property
    def version(self) -> int | str | None:
        """The version that was given, or the run's id; None before the run."""
        return self._experiment.id if self._version is None and self._experiment is not None else self._version

    @property
    def save_dir(self) -> str:
        """The store."""
        return self._save_dir

    @property
    def root_dir(self) -> str:
        """The folder of the files of all versions, such as checkpoints."""
        return os.path.join(self._save_dir, self._name)

    @property
    def log_dir(self) -> str | None:
        """The folder of this version's files; None before the run if no version was given."""
        version = f"version_{self.version}" if isinstance(self.version, int) else self.version
        return os.path.join(self.root_dir, version) if version is not None else None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Record numbers at a step and, if there is an `epoch` among them, at this epoch."""
        values = dict(metrics)
        epoch = values.pop("epoch", None)
        if self._prefix:
            values = {f"{self._prefix}{self.LOGGER_JOIN_CHAR}{name}": value for name, value in values.items()}
        tracker = self.experiment
        if not self._names.issuperset(values):
            self._note_names(tracker, values)
        if self._is_rewound and step is not None:
            self._go_back(tracker, step)
        tracker.log_metrics(values, step, epoch=epoch)

    @rank_zero_only
    def log_hyperparams(
        self, params: Mapping[str, Any] | Namespace, metrics: Mapping[str, Any] | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Record hyperparameters, and *metrics* that belong to them."""
        self.experiment.log_hyperparams(params)
        if metrics:
            self.log_metrics(metrics, 0)

    @rank_zero_only
    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Note how the Trainer of *model* trains. The graph itself is not recorded."""
        trainer = getattr(model, "_trainer", None)
        if trainer is not None and trainer.state.fn == "fit":
            self._has_epochs = trainer.val_check_interval == 1.0 and trainer.check_val_every_n_epoch is not None
            if trainer.ckpt_path is not None:  # which is read behind this call
                callbacks = importlib.import_module(f"{_package}.callbacks")
                trainer.callbacks = [*trainer.callbacks, callbacks.LambdaCallback(on_train_start=self._rewind)]

    @rank_zero_only
    def _rewind(self, trainer: Any, module: Any) -> None:
        """
        Go back to the step of the checkpoint that the Trainer has read.

        The run itself cannot be found by a checkpoint: Lightning wants `experiment` before it reads one.
        """
        trainer.callbacks = [each for each in trainer.callbacks if vars(each).get("on_train_start") != self._rewind]
        if module.automatic_optimization:
            self._go_back(self.experiment, trainer.global_step)
        else:  # then Lightning's number of steps is that of all optimizers together
            self._is_rewound = True

    def _go_back(self, tracker: ExperimentTracker, step: int) -> None:
        self._is_rewound = False
        tracker.load_state_dict({**tracker.state_dict(), "step": step - 1})

    def save(self) -> None:
        """Do nothing: metrics are written within 50 ms, and Lightning calls this for each of them."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run; "finished", which Lightning says before a requeue, forces all records to disk instead."""
        tracker = self._experiment
        if tracker is None or tracker.status != "running":
            self._training.end()
            return
        if status == "finished":
            self._is_requeued = True
            tracker.flush(sync=True)
            return
        self._keep_checkpoints(copy=None if self._log_model else False)
        error = self._training.error() if status == "failed" else None
        if self._is_requeued and isinstance(error, SystemExit):
            self._training.end("preempted")
        elif error is not None:
            self._training.end(error=error)
        else:
            self._training.end("completed" if status == "success" else status)

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Keep the checkpoints now, if all are wanted, or else at the end."""
        self._callbacks[checkpoint_callback.state_key] = checkpoint_callback
        if self._log_model == "all" or (self._log_model and checkpoint_callback.save_top_k == -1):
            self._keep_checkpoints(copy=True)

    def _keep_checkpoints(self, *, copy: bool | None) -> None:
        for callback in self._callbacks.values():
            for path, facts in _checkpoints_of(callback, all_of_them=copy is not False).items():
                changed = os.stat(path).st_mtime
                if self._kept.get(path) != changed:
                    self._kept[path] = changed
                    self.experiment.log_artifact(path, "checkpoint", metadata=facts, copy=copy)

    def _note_names(self, tracker: ExperimentTracker, values: Mapping[str, Any]) -> None:
        """Have `loss_epoch`, which Lightning logs beside `loss_step`, drawn over epochs, if an epoch has one value."""
        new = [name for name in values if name not in self._names]
        self._names.update(new)
        for name in new:
            if self._has_epochs and name.endswith("_epoch") and f"{name[:-6]}_step" in self._names:
                tracker.define_metric(name, step_metric="epoch")


def _checkpoints_of(callback: Any, *, all_of_them: bool) -> dict[str, dict[str, Any]]:
    """Return the checkpoints of a ModelCheckpoint that exist, with their scores."""
    try:
        best, last = callback.best_model_path, callback.last_model_path
        scores = {last: callback.current_score, best: callback.best_model_score}
        if all_of_them or not (best or last):
            scores = {**callback.best_k_models, **scores}
        monitor, mode = callback.monitor, callback.mode
    except (AttributeError, ReferenceError):  # a class of one's own; or the Trainer is gone
        return {}
    known = {"monitor": monitor, "mode": mode if monitor else None}
    return {
        str(path): {
            name: value
            for name, value in {**known, "score": score, "best": path == best, "last": path == last}.items()
            if value is not None and value is not False
        }
        for path, score in scores.items()
        if path and os.path.exists(path)
    }


def _run_of(resume: Any) -> Any:
    """Return the run to resume, for a checkpoint that lies in the folder of its run, `version/checkpoints`."""
    if not isinstance(resume, (str, PathLike)) or not os.fspath(resume).endswith(".ckpt"):
        return resume
    if not os.path.exists(resume):
        raise ValueError(f"resume: there is no checkpoint {os.fspath(resume)}.")
    return Path(resume).absolute().parent.parent.name
