"""RefuncCallback in trainings of transformers' Trainer: the records of the run, and its end."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
from tests.frameworks.stored import runs
from tests.frameworks.trainings import trainer_with
from transformers import EarlyStoppingCallback, Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback
from transformers.integrations import integration_utils

from refunc.frameworks.transformers import RefuncCallback
from refunc.logging import experiment_context, log_metrics

pytestmark = pytest.mark.usefixtures("clean_process")


def test_a_training_is_a_run_with_params_metrics_and_checkpoints() -> None:
    callback = RefuncCallback("vision", "first")
    trainer = trainer_with(callback, hub_token="hf_secret", metric_for_best_model="loss", greater_is_better=False)
    trainer.train()
    callback.tracker.flush()

    (run,) = runs()
    assert (run.experiment_name, run.run_name, run.status) == ("vision", "first", "running")
    assert run.params["args"]["learning_rate"] == 5e-5
    assert run.params["args"]["hub_token"] == "<HUB_TOKEN>"
    assert run.params["model"]["hidden_size"] == 8
    assert run.params["model"]["num_parameters"] == trainer.model.num_parameters()
    loss = run.metrics("train/loss")
    assert (list(loss.steps), list(loss.epochs)) == ([2, 4, 6], [2 / 3, 4 / 3, 2])
    assert list(run.metrics("eval/loss").steps) == [3, 6]
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert list(loss.values) == logged
    assert [(each.name, each.type) for each in run.artifacts] == [
        (f"checkpoint-{step}", "checkpoint") for step in (3, 6)
    ]
    assert run.metric_summaries()["eval/loss"].best == min(run.metrics("eval/loss").values)
    assert run.metric_summaries()["eval/runtime"].shown is None


def test_what_comes_after_a_training_is_in_its_run_and_the_next_training_is_another(
    recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = RefuncCallback()
    trainer = trainer_with(callback)
    trainer.evaluate()
    trainer.train()
    trainer.evaluate()
    trainer.predict(trainer.eval_dataset)
    trainer.log({"mine": 1.0})
    trainer.train()
    callback.tracker.end_run()

    first, second = runs()
    assert list(first.metrics("eval/loss").steps) == [0, 3, 6, 6]
    assert list(first.metrics("test/loss").steps) == [6]
    assert list(first.metrics("train/mine").steps) == [6]
    assert (first.status, second.status, second.attempt) == ("completed", "completed", 1)
    assert list(second.metrics("eval/loss").steps) == [3, 6]
    assert "WARNING" not in capsys.readouterr().err


def test_the_run_around_is_the_run_and_stays_open() -> None:
    with experiment_context("mine") as around:
        trainer = trainer_with(RefuncCallback())
        trainer.train()
        log_metrics({"after": 1.0})
        assert around.status == "running"
    (run,) = runs()
    assert {"train/loss", "after"} <= set(run.metric_summaries())


def test_no_value_is_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    trainer_with(RefuncCallback()).train()
    shown = capsys.readouterr()
    assert shown.out.count("{'loss':") == 3
    assert "METRIC" not in shown.err
    assert shown.err.count("started") == 1


def test_nothing_that_the_trainer_hands_out_is_changed() -> None:
    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            seen.append((copy.deepcopy(logs), logs, {**args.to_dict()}))

    class Freeze(Watch):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            before.append((copy.deepcopy(logs), {**args.to_dict()}))

    seen: list[Any] = []
    before: list[Any] = []
    trainer_with(Freeze(), RefuncCallback(), Watch()).train()
    assert [(logs, args) for logs, _, args in seen] == before
    assert len(seen) == 6


class Raise(TrainerCallback):  # type: ignore[misc]
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 4:
            raise self.error


def test_a_training_that_raised_is_failed_once_the_next_begins() -> None:
    trainer = trainer_with(RefuncCallback(), Raise(ValueError("lost")))
    with pytest.raises(ValueError, match="lost"):
        trainer.train()
    trainer.remove_callback(Raise)
    trainer.train()
    assert [run.status for run in runs()] == ["failed", "running"]


def test_the_same_callback_given_twice_is_told_at_once() -> None:
    callback = RefuncCallback("vision")
    with pytest.raises(ValueError, match="given twice"):
        trainer_with(callback, callback).train()
    assert len(runs()) == 1


def test_early_stopping_is_completed() -> None:
    trainer = trainer_with(
        RefuncCallback(),
        EarlyStoppingCallback(1, early_stopping_threshold=10.0),
        num_train_epochs=9,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
    )
    trainer.train()
    trainer_with(RefuncCallback()).evaluate()
    run, _ = runs()
    assert run.status == "completed"
    assert run.tags["best_model_checkpoint"] == trainer.state.best_model_checkpoint
    assert run.summary.metrics["train/loss"].last_step < 9 * 3


def test_lines_of_transformers_are_in_the_run_once() -> None:
    own = logging.getLogger("transformers.trainer")
    own.warning("before the run")
    callback = RefuncCallback()
    trainer = trainer_with(callback, log_level="info")
    trainer.train()
    own.warning("after the training")
    callback.tracker.end_run()
    trainer.evaluate()

    lines = [entry.message for entry in runs()[0].entries() if entry.logger_name.startswith("transformers")]
    assert [lines.count(line) for line in ("before the run", "after the training")] == [0, 1]
    assert sum("Training completed" in line for line in lines) == 1


@pytest.mark.parametrize("report_to", ["refunc", ["refunc"]])
def test_it_can_be_named_in_report_to(report_to: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "refunc", RefuncCallback)
    trainer_with(report_to=report_to, project="mine", run_name="named").train()
    assert [(run.experiment_name, run.run_name) for run in runs()] == [("mine", "named")]


def test_a_seq2seq_trainer_is_one_too() -> None:
    trainer_with(RefuncCallback(), kind=Seq2SeqTrainer, arguments=Seq2SeqTrainingArguments, max_steps=2).train()
    assert list(runs()[0].metrics("train/loss").steps) == [2]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda callback: pickle.loads(pickle.dumps(callback))])
def test_a_copy_logs_to_the_same_run(copied: Any) -> None:
    before = copied(RefuncCallback("e", log_model="end"))
    trainer_with(before, max_steps=2).train()
    after = copied(before)
    assert after.tracker.run_id == before.tracker.run_id
    trainer = trainer_with(after)
    trainer.evaluate()
    before.tracker.flush()
    (run,) = runs()
    assert len(run.metrics("eval/loss")) == 2


def test_a_wrong_option_is_told_at_once() -> None:
    with pytest.raises(ValueError, match='"end" and "checkpoint"'):
        RefuncCallback(log_model="all")  # type: ignore[arg-type]


@pytest.mark.parametrize("trouble", ["disabled", "a file", "not numbers"])
def test_no_trouble_reaches_the_training(trouble: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if trouble == "disabled":
        monkeypatch.setenv("REFUNC_MODE", "disabled")
    if trouble == "a file":
        Path("experiments").write_text("no folder")
    trainer = trainer_with(RefuncCallback(log_model="checkpoint"))
    if trouble == "not numbers":
        trainer.log({"text": "words", "list": [1], "none": None})
    assert trainer.train().global_step == 6
    assert json.loads(Path("out/checkpoint-6/trainer_state.json").read_text())["global_step"] == 6
