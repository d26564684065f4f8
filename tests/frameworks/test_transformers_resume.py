"""RefuncCallback where a training goes on from a checkpoint, and where it is one of many."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from tests.frameworks.stored import runs
from tests.frameworks.trainings import trainer_with

from refunc.frameworks.transformers import RefuncCallback
from refunc.logging import ExperimentTracker, experiment_context
from refunc.runs import open_store

pytestmark = pytest.mark.usefixtures("clean_process")


def train_two_epochs(callback: RefuncCallback) -> None:
    trainer_with(callback).train()
    assert callback.tracker is not None
    callback.tracker.end_run("preempted")


@pytest.mark.parametrize("restores", [False, True])
def test_a_training_goes_on_in_its_run_from_the_step_of_the_checkpoint(restores: bool) -> None:
    train_two_epochs(RefuncCallback("vision", "long"))
    callback = RefuncCallback()
    trainer = trainer_with(callback, num_train_epochs=3, restore_callback_states_from_checkpoint=restores)
    trainer.train(resume_from_checkpoint="out/checkpoint-3")
    trainer.pop_callback(RefuncCallback).tracker.end_run()

    (run,) = runs()
    assert (run.experiment_name, run.run_name, run.attempt, run.status) == ("vision", "long", 2, "completed")
    assert list(run.metrics("train/loss").steps) == [2, 4, 6, 8]
    assert list(run.metrics("eval/loss").steps) == [3, 6, 9]
    assert list(run.metrics("train/loss", attempts="all").steps) == [2, 4, 6, 4, 6, 8]


def test_it_is_a_new_run_if_that_is_wanted_or_if_the_run_is_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    train_two_epochs(RefuncCallback())
    trainer_with(RefuncCallback(resume=False), num_train_epochs=3).train(resume_from_checkpoint=True)
    assert "WARNING" not in capsys.readouterr().err
    trainer_with(RefuncCallback(log_dir="elsewhere"), num_train_epochs=4).train(
        resume_from_checkpoint="out/checkpoint-6"
    )
    assert capsys.readouterr().err.count("WARNING") == 1
    assert [run.attempt for run in runs()] == [1, 1]
    (run,) = open_store(Path("elsewhere")).runs()
    assert (run.attempt, list(run.metrics("train/loss").steps)) == (1, [8, 10, 12])


def test_a_checkpoint_from_before_the_callback_can_be_resumed_and_saved_again() -> None:
    trainer_with().train()
    trainer_with(RefuncCallback(), num_train_epochs=3).train(resume_from_checkpoint=True)
    (run,) = runs()
    saved = json.loads(Path("out/checkpoint-9/trainer_state.json").read_text())
    assert saved["stateful_callbacks"]["RefuncCallback"]["attributes"]["refunc_run"]["run_id"] == run.run_id


def test_the_run_around_goes_back_to_the_checkpoint_if_it_is_its_run() -> None:
    with experiment_context("mine") as run:
        trainer_with(RefuncCallback()).train()
    with experiment_context("mine", resume=run.run_id):
        trainer_with(RefuncCallback(), num_train_epochs=3, max_steps=4).train(resume_from_checkpoint="out/checkpoint-3")
    (found,) = runs()
    assert (found.attempt, list(found.metrics("train/loss").steps)) == (2, [2, 4])


@pytest.mark.parametrize(("log_model", "kept"), [(False, []), ("checkpoint", ["checkpoint-3", "checkpoint-6"])])
def test_a_checkpoint_is_kept_or_referred_to(log_model: bool | str, kept: list[str]) -> None:
    trainer_with(RefuncCallback(log_model=log_model), save_total_limit=1).train()  # type: ignore[arg-type]
    assert [path.name for path in Path("out").glob("checkpoint-*")] == ["checkpoint-6"]
    (run,) = runs()
    assert [each.name for each in run.artifacts] == ["checkpoint-3", "checkpoint-6"]
    assert [each.name for each in run.artifacts if not each.references] == kept
    assert [each.metadata for each in run.artifacts] == [{"step": 3, "epoch": 1.0}, {"step": 6, "epoch": 2.0}]


def test_the_model_at_the_end_is_kept() -> None:
    trainer_with(RefuncCallback(log_model="end"), save_strategy="no").train()
    (run,) = runs()
    (model,) = run.artifacts
    assert (model.name, model.type, model.references) == ("model", "model", 0)
    files = json.loads((run.folder / model.stored).read_text())
    assert any("model.safetensors" in json.dumps(each) for each in (files if isinstance(files, list) else [files]))


class Pruner(optuna.pruners.BasePruner):
    """Prunes the second trial."""

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        return trial.number == 1


@pytest.mark.parametrize("around", [False, True])
def test_each_trial_of_a_search_is_a_run_in_the_run_around(around: bool) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    callback = RefuncCallback("search", log_model="checkpoint")
    trainer = trainer_with(callback, is_search=True, num_train_epochs=1)
    search = ExperimentTracker("all trials")
    if around:
        search.start_run()
    trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-3)},
        n_trials=3,
        hp_name=(lambda trial: f"trial {trial.number}") if around else None,
        pruner=Pruner(),
    )
    trainer.train()
    found = [run for run in runs() if run.experiment_name == "search"]
    assert [run.status for run in found] == ["completed", "pruned", "completed", "running"][: 3 if around else 4]
    assert [run.parent_id for run in found] == [search.run_id] * 3 if around else [None] * 4
    for run in found[:3]:
        assert run.params["trial"]["learning_rate"] == run.params["args"]["learning_rate"]
    assert [[each.name for each in run.artifacts] for run in found[:3]] == [["checkpoint-3"], [], ["checkpoint-3"]]
    if around:
        assert [run.run_name for run in found] == ["trial 0", "trial 1", "trial 2"]
        search.end_run()
