"""The callback of transformers' Trainer, and of its subclasses such as TRL's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

from refunc.frameworks import Training
from refunc.frameworks.packages import imported_for
from refunc.logging import ExperimentTracker, warning

with imported_for(__name__, "transformers>=5"):
    from transformers.trainer_callback import ExportableState, TrainerCallback, TrainerControl, TrainerState
    from transformers.training_args import TrainingArguments

__all__ = ["RefuncCallback"]

_LINES_OF: Final = ("transformers", "trl", "peft", "accelerate")
#: Measures of speed, which tables leave out.
_ASIDE: Final = ("*/*runtime", "*/*_per_second", "train/total_flos")


class RefuncCallback(TrainerCallback, ExportableState):
    """
    Logs the trainings of a Trainer: `Trainer(..., callbacks=[RefuncCallback()])`.

    The run is the one that is open around the training, or one of its own. It has the training arguments and the
    model's config, each logged value at its step and epoch (`train/loss`, `eval/loss`, `test/loss`), the checkpoints,
    and the lines of transformers, TRL, PEFT and accelerate. The console leaves metrics to the Trainer, which prints
    them.

    A run of its own is `completed` if the training came to its end, by early stopping too, else `failed` or
    `interrupted`. It stays open until the next training or the end of the process, for `evaluate()` and `predict()`.
    Each trial of `hyperparameter_search` is a run of its own, within the run around. A training that resumes from a
    checkpoint goes on with the checkpoint's run.
    """

    def __init__(
        self,
        experiment_name: str | None = None,
        run_name: str | None = None,
        log_dir: str | PathLike[str] | None = None,
        *,
        log_model: Literal[False, "end", "checkpoint"] = False,
        resume: bool = True,
    ) -> None:
        """
        Prepare; nothing is opened before the Trainer trains or logs.

        Args:
            experiment_name: Default `TrainingArguments(project=...)`, which is "huggingface".
            run_name: Default the name of the trial, or `TrainingArguments(run_name=...)`.
            log_dir: The store; default `REFUNC_DIR`, else `./experiments`.
            log_model: The files that are copied into the run: each "checkpoint", also those that `save_total_limit`
                deletes later, or the model at the "end". With False, the run only refers to the checkpoints.
            resume: False for a new run where the training resumes from a checkpoint.

        Raises:
            ValueError: Another value of *log_model*.
        """
        if log_model not in (False, "end", "checkpoint"):
            raise ValueError(f'log_model: {log_model!r} is not allowed. Allowed: False, "end" and "checkpoint".')
        self._log_dir = os.fspath(log_dir) if log_dir is not None else None
        self._experiment_name, self._run_name = experiment_name, run_name
        self._log_model, self._resume = log_model, resume
        self._training = Training("huggingface")
        self._tracker: ExperimentTracker | None = None
        self._has_trained = self._is_summed_up = False
        self._names: dict[str, str] = {}

    def state(self) -> dict[str, Any]:
        """Return the part of a checkpoint that is this callback's: its arguments, and the run."""
        tracker = self._tracker
        is_open = tracker is not None and tracker.folder is not None and tracker.status == "running"
        run = tracker.state_dict() if tracker is not None and is_open else None
        names = {"experiment_name": self._experiment_name, "run_name": self._run_name, "log_dir": self._log_dir}
        options = {"log_model": self._log_model, "resume": self._resume}
        return {"args": {**names, **options}, "attributes": {"refunc_run": run}}

    @property
    def tracker(self) -> ExperimentTracker | None:
        """The tracker of the run, for calls of your own; None before the run, and on ranks that log nothing."""
        return self._tracker

    # -- the run of a training ---------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin a run; or go on with the checkpoint's run, or with that of an evaluation before the training."""
        self._training.check_once(state)
        # The Trainer expects it there when it saves, but a checkpoint that it resumes from may be from before.
        state.stateful_callbacks.setdefault(type(self).__name__, self.state())
        saved = _run_in(state) if state.global_step and self._resume else None
        is_next = self._has_trained or saved or state.is_hyper_param_search
        if is_next or not self._training.is_open:
            self._begin(args, state, kwargs.get("model"), saved)
        else:
            self._training.go_on()
        self._has_trained, self._is_summed_up = True, False

    def _begin(
        self, args: Any, state: Any, model: Any, saved: Mapping[str, Any] | None = None
    ) -> ExperimentTracker | None:
        self._training.leave()
        named = args.run_name if args.run_name != args.output_dir else None
        self._training = training = Training(
            self._experiment_name or getattr(args, "project", None) or "huggingface",
            state.trial_name or self._run_name or named,
            self._log_dir,
            checkpoint=saved,
            is_trial=state.is_hyper_param_search,
            shows_metrics=False,
            lines_of=_LINES_OF,
        )
        if not state.is_world_process_zero:
            training.join()
            return None
        self._tracker = tracker = training.begin(state)
        tracker.log_params(_params(args, state, model))
        for name in _ASIDE:
            tracker.define_metric(name, summary="none")
        if args.metric_for_best_model and args.greater_is_better is not None:
            best = f"eval/{args.metric_for_best_model.removeprefix('eval_')}"
            tracker.define_metric(best, goal="max" if args.greater_is_better else "min")
        return tracker

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the model, if that is wanted, and leave the run open for evaluations."""
        if self._tracker is not None:
            if state.best_model_checkpoint:
                self._tracker.set_tag("best_model_checkpoint", state.best_model_checkpoint)
            if self._log_model == "end":
                _keep_model(self._tracker, args, kwargs.get("model"), kwargs.get("processing_class"))
        if self._is_summed_up or not state.is_hyper_param_search:
            self._training.rest()
        else:  # the trial was pruned, which the Trainer tells before it raises
            self._training.end("pruned")

    # -- values that are logged --------------------------------------------------------------------------------------

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Log values of the training or of an evaluation."""
        self._is_summed_up = logs is not None and "train_runtime" in logs
        if not logs or not state.is_world_process_zero:
            return
        tracker = self._tracker
        if tracker is None:  # an evaluation before any training
            tracker = self._begin(args, state, kwargs.get("model"))
            self._training.rest()
        assert tracker is not None
        names = self._names
        try:
            values = {names[name]: logs[name] for name in logs if name != "epoch"}
        except KeyError:
            names.update({name: _renamed(str(name)) for name in logs})
            values = {names[name]: logs[name] for name in logs if name != "epoch"}
        tracker.log_metrics(values, state.global_step, epoch=logs.get("epoch", state.epoch))

    def on_predict(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Log the metrics of a prediction, which the Trainer does not log."""
        self.on_log(args, state, control, metrics, **kwargs)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep the checkpoint, or refer to it."""
        if self._tracker is not None:
            name = f"checkpoint-{state.global_step}"
            # A trial has a folder of its own, which the Trainer does not name.
            found = [Path(args.output_dir, name), *Path(args.output_dir).glob(f"*/{name}")]
            newest = max(filter(Path.is_dir, found), key=os.path.getmtime, default=found[0])
            self._tracker.log_artifact(
                newest,
                "checkpoint",
                metadata={"step": state.global_step, "epoch": state.epoch},
                copy=self._log_model == "checkpoint",
            )


def _run_in(state: TrainerState) -> dict[str, Any] | None:
    """Return the run that a checkpoint is of, at its step, as a result of `ExperimentTracker.state_dict()`."""
    for saved in state.stateful_callbacks.values():
        for each in saved if isinstance(saved, list) else [saved]:
            run = each.get("attributes", {}).get("refunc_run")
            if run:
                return {**run, "step": state.global_step}
    return None


def _renamed(name: str) -> str:
    """Return the name that TensorBoard's and W&B's callbacks give to a logged value."""
    for prefix in ("eval", "test"):
        if name.startswith(f"{prefix}_"):
            return f"{prefix}/{name[len(prefix) + 1 :]}"
    return f"train/{name}"


def _params(args: TrainingArguments, state: TrainerState, model: Any) -> dict[str, Any]:
    config = getattr(model, "config", None)
    found = {
        "args": args.to_dict(),  # without tokens
        "model": dict(config) if isinstance(config, Mapping) else config.to_dict() if config is not None else {},
        "peft": getattr(model, "peft_config", None),
        "trial": state.trial_params,
    }
    if hasattr(model, "num_parameters"):
        found["model"]["num_parameters"] = model.num_parameters()
    return {name: values for name, values in found.items() if values}


def _keep_model(tracker: ExperimentTracker, args: TrainingArguments, model: Any, processor: Any) -> None:
    """Keep a copy of the model, and of its tokenizer."""
    if getattr(args, "deepspeed", None) or getattr(args, "fsdp", None):
        warning('log_model="end": the model is spread over ranks, and is not kept. Use log_model="checkpoint".')
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            for each in filter(None, (model, processor)):
                each.save_pretrained(folder)
            tracker.log_artifact(folder, "model", name="model", copy=True)
    except Exception as error:  # a full disk, or a model that is not a PreTrainedModel
        warning('log_model="end": the model is not kept. %s: %s', type(error).__name__, error)
