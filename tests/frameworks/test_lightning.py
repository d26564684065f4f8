"""RefuncLogger in trainings of Lightning's Trainer, and with Fabric."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.fabric import Fabric
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from tests.frameworks.lightning_trainings import Module, trainer_with
from tests.frameworks.stored import only_run

from refunc.frameworks.lightning import RefuncLogger
from refunc.logging import ExperimentTracker, MLLogger, RunHandler, experiment_context
from refunc.runs import open_store

pytestmark = [pytest.mark.frameworks, pytest.mark.usefixtures("clean_process")]


def test_a_training_and_its_test_are_one_run_with_steps_and_epochs() -> None:
    trainer = trainer_with(RefuncLogger(name="vision", tags={"team": "a"}))
    trainer.fit(Module(lr=0.25))
    trainer.test(verbose=False)

    run = only_run()
    assert (run.experiment_name, run.status, run.attempt) == ("vision", "completed", 2)
    assert (run.params, run.tags) == ({"lr": 0.25}, {"team": "a"})
    steps = {name: list(run.metrics(name).steps) for name in run.summary.metrics}
    assert steps == {"loss_step": [1, 3, 5, 7], "val_loss": [3, 7], "loss_epoch": [3, 7], "test_loss": [8]}
    assert [list(run.metrics(name).x) for name in ("loss_epoch", "val_loss")] == [[0, 1], [3, 7]]
    assert [entry.epoch for entry in run.entries() if "loss_step" in entry.metrics] == [0, 0, 1, 1]
    assert trainer.logger is not None
    assert trainer.logger.version == run.run_id


def test_an_epoch_with_several_validations_is_drawn_over_steps() -> None:
    trainer_with(RefuncLogger(), val_check_interval=2).fit(Module())
    assert list(only_run().metrics("loss_epoch").x) == [3, 7]


def test_checkpoints_lie_beside_the_runs_and_the_run_refers_to_the_best_and_the_last() -> None:
    logger = RefuncLogger("store", version=3)
    trainer_with(logger, ModelCheckpoint(monitor="val_loss", save_top_k=2, save_last=True)).fit(Module())

    folder = Path("store/lightning_logs/version_3/checkpoints")
    assert len(list(folder.glob("*.ckpt"))) == 3
    assert (logger.root_dir, logger.log_dir) == ("store/lightning_logs", "store/lightning_logs/version_3")
    assert logger.save_dir == "store"
    [run] = open_store("store").runs()
    assert (run.run_name, logger.version) == ("version_3", 3)
    best = {each.name: each.metadata.get("best", False) for each in run.summary.artifacts}
    assert sorted(best.values()) == [False, True]
    assert not best["last.ckpt"]
    assert {each.stored for each in run.summary.artifacts} == {None}


@pytest.mark.parametrize(("log_model", "copies"), [(True, 2), ("all", 4)])
def test_checkpoints_that_are_wanted_are_copied(log_model: Any, copies: int) -> None:
    """Of 4 epochs the two best are left; `all` has those too that Lightning has deleted."""
    checkpoint = ModelCheckpoint(monitor="epoch", mode="max", save_top_k=2)
    trainer_with(RefuncLogger(log_model=log_model), checkpoint, max_epochs=4).fit(Module())

    run = only_run()
    kept = [run.folder / artifact.stored for artifact in run.summary.artifacts if artifact.stored is not None]
    assert len(kept) == copies
    assert all(path.stat().st_size for path in kept)


def test_two_loggers_and_another_one_each_have_all() -> None:
    trainer = trainer_with([RefuncLogger(name="a"), RefuncLogger(name="b"), CSVLogger("csv")])
    trainer.fit(Module())

    runs = open_store().runs()
    assert {run.experiment_name: list(run.metrics("loss_step").steps) for run in runs} == {
        "a": [1, 3, 5, 7],
        "b": [1, 3, 5, 7],
    }
    assert {run.status for run in runs} == {"completed"}
    assert Path("csv/lightning_logs/version_0/metrics.csv").exists()


def test_a_training_is_a_part_of_the_run_around_it() -> None:
    with experiment_context("outer") as around:
        trainer_with(RefuncLogger(name="ignored")).fit(Module())
        assert around.status == "running"
    assert (only_run().experiment_name, list(only_run().metrics("loss_epoch").steps)) == ("outer", [3, 7])


def test_a_given_tracker_stays_open() -> None:
    tracker = ExperimentTracker("mine")
    trainer_with(RefuncLogger(experiment=tracker)).fit(Module())
    assert tracker.status == "running"
    tracker.end_run()
    assert list(only_run().metrics("loss_epoch").steps) == [3, 7]


def test_a_run_that_a_logger_opened_by_a_call_is_not_around() -> None:
    MLLogger("script").log_metrics({"x": 1.0})
    trainer_with(RefuncLogger(name="vision")).fit(Module())
    assert {run.experiment_name for run in open_store().runs()} == {"script", "vision"}


def test_a_fast_dev_run_writes_nothing() -> None:
    trainer_with(RefuncLogger(), fast_dev_run=True).fit(Module())
    assert os.listdir() == []


def test_the_sanity_check_is_no_point() -> None:
    trainer_with(RefuncLogger(), num_sanity_val_steps=1, max_steps=0).fit(Module())
    assert only_run().summary.points == 0


def test_validate_and_predict_alone_are_runs() -> None:
    trainer_with(RefuncLogger(name="validated")).validate(Module(), verbose=False)
    trainer_with(RefuncLogger(name="predicted")).predict(Module())
    runs = {run.experiment_name: (run.status, list(run.summary.metrics)) for run in open_store().runs()}
    assert runs == {"validated": ("completed", ["val_loss"]), "predicted": ("completed", [])}


@pytest.mark.parametrize("is_new_process", [False, True])
def test_a_checkpoint_takes_the_run_back_to_its_step(is_new_process: bool) -> None:
    every = ModelCheckpoint(every_n_train_steps=2, save_top_k=-1)
    logger = RefuncLogger(name="vision")
    trainer_with(logger, every, max_epochs=3).fit(Module())
    [run] = open_store().runs()
    [checkpoint] = Path(logger.log_dir or "").rglob("*step=4.ckpt")
    before = list(run.metrics("loss_step").values)

    if is_new_process:
        logger = RefuncLogger(name="vision", resume=checkpoint)
    trainer = trainer_with(logger, max_epochs=3, max_steps=8, log_every_n_steps=4)
    callbacks = len(trainer.callbacks)
    trainer.fit(Module(), ckpt_path=checkpoint)

    run = only_run()
    assert run.attempt == 2
    loss = run.metrics("loss_step")
    assert list(loss.steps) == [1, 3, 7], "the earlier attempt went on to step 11, and this one logs no step 5"
    assert list(loss.values)[:2] == before[:2]
    assert list(run.metrics("loss_step", attempts="all").steps) == [1, 3, 5, 7, 9, 11, 7]
    assert len(trainer.callbacks) == callbacks


def test_a_disabled_refunc_trains_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUNC_MODE", "disabled")
    trainer = trainer_with(RefuncLogger(), enable_checkpointing=False)
    trainer.fit(Module())
    trainer.test(Module(), verbose=False)
    assert os.listdir() == []


def test_a_store_that_cannot_be_written_stops_no_training(capsys: pytest.CaptureFixture[str]) -> None:
    Path("blocked").write_text("a file")
    trainer = trainer_with(RefuncLogger("blocked"), enable_checkpointing=False)
    trainer.fit(Module())
    trainer.test(Module(), verbose=False)
    assert trainer.state.finished
    assert "blocked" in capsys.readouterr().err


class Settings:
    """Holds settings of its own."""

    def __init__(self) -> None:
        self.depth = 3


def test_hyperparameters_of_all_kinds_are_read_and_left_as_they_are() -> None:
    given = {
        "optimizer": {"lr": 0.1, "betas": (0.9, 0.99)},
        "parsed": argparse.Namespace(batch=4),
        "settings": Settings(),
        "weights": torch.tensor([1.0, 2.0]),
        "layer": torch.nn.Linear(2, 3),
        "loss": torch.nn.MSELoss,
        "function": torch.relu,
        "device": torch.device("cpu"),
        1: None,
    }
    kept = dict(given)
    logger = RefuncLogger()
    logger.log_hyperparams(given, {"hp_metric": 0.5})
    logger.log_hyperparams(argparse.Namespace(seed=7))
    logger.finalize("success")

    assert given == kept
    params = only_run().params
    assert params["optimizer"] == {"lr": 0.1, "betas": [0.9, 0.99]}
    assert (params["parsed"], params["settings"], params["seed"]) == ({"batch": 4}, {"depth": 3}, 7)
    assert (params["weights"], params["function"], params["device"]) == ([1, 2], "relu", "cpu")
    assert params["layer"].startswith("Linear(")
    assert params["loss"] == "MSELoss"
    assert list(only_run().metrics("hp_metric").values) == [0.5]


def test_metrics_are_left_as_they_are_and_no_value_raises() -> None:
    logger = RefuncLogger(prefix="tmp")
    given = {"loss": torch.tensor(0.5), "text": "no number", "epoch": 2.0, "nested": {"a": 1}}
    kept = dict(given)
    logger.log_metrics(given, 4)
    logger.save()
    logger.finalize("success")
    assert given == kept
    [entry] = [entry for entry in only_run().entries() if "tmp-loss" in entry.metrics]
    assert (entry.step, entry.epoch) == (4, 2)
    assert entry.metrics == {"tmp-loss": 0.5, "tmp-nested/a": 1, "tmp-text": "no number"}


def test_the_lines_of_lightning_are_in_the_run_once() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)  # as Lightning sets it
    users = RunHandler(capture=True)
    logging.getLogger().addHandler(users)
    try:
        trainer_with(RefuncLogger()).fit(Module())
        logging.getLogger("lightning.pytorch").info("behind the run")
    finally:
        logging.getLogger().removeHandler(users)
        users.close()
    lines = [entry.message for entry in only_run().entries() if entry.logger_name.startswith("lightning")]
    assert [line for line in lines if "max_epochs=2" in line] == ["`Trainer.fit` stopped: `max_epochs=2` reached."]
    assert not [each for each in logging.getLogger("lightning.pytorch").handlers if type(each).__name__ == "Captured"]


def test_fabric_logs_with_it() -> None:
    logger = RefuncLogger(name="fabric")
    fabric = Fabric(accelerator="cpu", devices=1, loggers=logger)
    fabric.log("loss", torch.tensor(0.5), step=1)
    fabric.log_dict({"loss": 0.25, "epoch": 1}, step=2)
    fabric.logger.finalize("success")
    assert list(only_run().metrics("loss").steps) == [1, 2]


def test_no_step_waits_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning calls `save()` behind each `log_metrics`."""
    flushed: list[object] = []
    monkeypatch.setattr(ExperimentTracker, "flush", lambda self, **options: flushed.append(options))
    saved: list[object] = []
    logger = RefuncLogger()
    save = logger.save
    logger.save = lambda: saved.append(save())  # type: ignore[method-assign]
    trainer_with(logger).fit(Module())
    assert (len(saved) >= 8, flushed) == (True, [])


@pytest.mark.parametrize("wrong", [{"log_model": "always"}, {"log_model": None}])
def test_another_word_for_log_model_is_told_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'Allowed: False, True and "all"'):
        RefuncLogger(**wrong)


def test_a_run_to_resume_that_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        trainer_with(RefuncLogger(resume="nowhere")).fit(Module())


def test_both_packages_take_it_for_a_logger_of_theirs() -> None:
    import pytorch_lightning

    logger = RefuncLogger()
    assert isinstance(logger, pl.loggers.logger.Logger)
    assert isinstance(logger, pytorch_lightning.loggers.logger.Logger)
    assert pytorch_lightning.Trainer(logger=logger, accelerator="cpu").logger is logger


def test_a_checkpoint_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"resume: there is no checkpoint nowhere/last\.ckpt"):
        RefuncLogger(resume="nowhere/last.ckpt")
