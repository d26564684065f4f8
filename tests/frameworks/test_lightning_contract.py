"""
The demands of Lightning's own test suite on any logger, with threads and variables watched as it does.

Its `loggers/test_all.py` wants: the calls of `fit` and `test` with their names and steps; pickles of the logger and of
its Trainer, once `experiment` was used; the experiment on rank 0 before `setup` of callbacks, and a dummy on other
ranks, under ddp_spawn; prefixes joined by `-`; the default name `lightning_logs`. Its `conftest.py` fails tests that
leave a thread or a variable behind; it stops daemons that have a `stop`.
"""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch.loggers.logger import DummyExperiment
from tests.frameworks.lightning_trainings import Module, trainer_with
from tests.frameworks.stored import only_run

from refunc.frameworks.lightning import RefuncLogger
from refunc.runs import open_store

pytestmark = [pytest.mark.frameworks, pytest.mark.usefixtures("clean_process")]

#: Variables that Lightning sets itself.
LIGHTNINGS = {"LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    threads, variables = set(threading.enumerate()), set(os.environ)
    yield
    left = set(os.environ) - variables - LIGHTNINGS
    if "_REFUNC_RUN" in left:  # the suite's tests that leave a run open set the variables back
        os.environ.pop("_REFUNC_RUN")
        assert any(run.status == "running" for run in open_store().runs())
        left.remove("_REFUNC_RUN")
    for thread in set(threading.enumerate()) - threads:
        assert thread.daemon
        thread.stop()  # type: ignore[attr-defined]
        assert not thread.is_alive()
    assert left == set()


class Remembering(RefuncLogger):
    """Remembers the calls that it gets, as the suite's loggers do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.history: list[tuple[Any, list[str]]] = []

    def log_metrics(self, metrics: Any, step: Any) -> None:  # type: ignore[override]
        super().log_metrics(metrics, step)
        self.history.append((step, sorted(metrics)))


def test_the_calls_of_a_training_and_a_test() -> None:
    assert "save_dir" in inspect.getfullargspec(RefuncLogger).args
    logger = Remembering(save_dir="experiments")
    trainer = trainer_with(logger, max_epochs=1, limit_train_batches=1, log_every_n_steps=1)
    trainer.fit(Module())
    trainer.test(verbose=False)

    assert logger.history == [
        (0, ["epoch", "loss_step"]),
        (0, ["epoch", "val_loss"]),
        (0, ["epoch", "loss_epoch"]),
        (1, ["epoch", "test_loss"]),
    ]


@pytest.mark.parametrize("is_used", [False, True])
def test_pickles_of_a_logger_and_of_its_trainer_log_to_the_same_run(is_used: bool) -> None:
    logger = RefuncLogger(save_dir="experiments", version="baseline", tags={"a": 1})
    if is_used:
        logger.log_metrics({"a": 1.0})
        logger.save()
    pickle.dumps(logger)
    trainer = trainer_with(logger)
    other = pickle.loads(pickle.dumps(trainer))
    other.logger.log_metrics({"acc": 1.0})

    assert (other.logger.name, other.logger.save_dir) == (logger.name, logger.save_dir)
    assert only_run().run_id == other.logger.experiment.id
    if is_used:
        assert logger.version == other.logger.version == "baseline"
        assert logger.experiment is other.logger.experiment
        assert copy.deepcopy(logger).experiment is logger.experiment
    other.fit(Module())
    assert set(only_run().summary.metrics) >= {"acc", "loss_epoch"}
    pickle.dumps(other)
    logger.finalize("success")


class ExperimentBeforeSetup(pl.Callback):
    def setup(self, trainer: Any, pl_module: Any, stage: Any = None) -> None:
        assert trainer.global_rank > 0 or trainer.logger._experiment


class DummyOnOtherRanks(pl.Callback):
    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        experiment = trainer.logger.experiment
        assert isinstance(experiment, DummyExperiment) is not trainer.is_global_zero
        if not trainer.is_global_zero:
            assert experiment.something(foo="bar") is None


def test_two_spawned_ranks_are_one_run_and_the_first_process_goes_on_with_it() -> None:
    logger = RefuncLogger()
    checks = [ExperimentBeforeSetup(), DummyOnOtherRanks()]
    trainer_with(logger, *checks, strategy="ddp_spawn", devices=2, max_steps=2).fit(Module())
    logger.log_metrics({"afterwards": 1.0}, 2)
    logger.finalize("success")

    run = only_run()
    assert run.status == "completed"
    assert list(run.metrics("loss_step").steps) == [1]
    assert set(run.summary.metrics) >= {"loss_step", "afterwards"}
    assert logger.version == run.run_id


def test_names_and_prefixes() -> None:
    assert RefuncLogger().name == "lightning_logs"
    assert RefuncLogger(name=None).name == RefuncLogger(name="").name == "lightning_logs"
    logger = RefuncLogger(prefix="tmp")
    assert (logger.version, logger.log_dir) == (None, None)
    logger.log_metrics({"test": 1.0}, step=0)
    assert list(logger.experiment.context.metrics) == ["tmp-test"]
    assert logger.group_separator == "/"
    logger.finalize("success")
