"""Ignite's engines with a RefuncLogger: names, steps, epochs, and how the run ends."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, global_step_from_engine
from ignite.metrics import Average
from tests.frameworks.stored import EXAMPLES, only_run, run_example
from tests.launched import variables

from refunc.frameworks.ignite import (
    GradsScalarHandler,
    OutputHandler,
    RefuncLogger,
    WeightsScalarHandler,
)
from refunc.logging import experiment_context


def trainer_of(update: Any = lambda engine, batch: batch / 10) -> Engine:
    engine = Engine(update)
    Average().attach(engine, "mean")
    engine.state_dict_user_keys.append("alpha")
    engine.state.alpha = 0.25
    return engine


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)


def test_outputs_metrics_attributes_and_params_have_their_steps_and_epochs() -> None:
    trainer, evaluator, net = trainer_of(), trainer_of(), Net()
    net.layer(torch.ones(1, 2)).sum().backward()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with RefuncLogger("vision", "baseline") as logger:
        logger.log_params({"lr": 0.5})
        logger.attach_output_handler(
            trainer, Events.ITERATION_COMPLETED, tag="train", output_transform=lambda loss: {"loss": loss}
        )
        logger.attach_output_handler(
            trainer, Events.EPOCH_COMPLETED, tag="epoch", metric_names="all", state_attributes=["alpha"]
        )
        logger.attach_output_handler(
            evaluator,
            Events.EPOCH_COMPLETED,
            tag="val",
            metric_names=["mean"],
            global_step_transform=global_step_from_engine(trainer),
        )
        logger.attach_opt_params_handler(trainer, Events.ITERATION_STARTED(every=2), optimizer=optimizer, tag="sgd")
        logger.attach(trainer, WeightsScalarHandler(net), Events.EPOCH_COMPLETED)
        logger.attach(trainer, GradsScalarHandler(net, whitelist=["layer.weight"]), Events.EPOCH_COMPLETED)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([1, 2]))
        trainer.run([1, 2, 3], max_epochs=2)

    run = only_run()
    assert (run.status, run.run_name, run.summary.params) == ("completed", "baseline", {"lr": 0.5})
    loss = run.metrics("train/loss")
    assert list(zip(loss.steps, loss.epochs, loss.values, strict=True)) == [
        (1, 1, 0.1), (2, 1, 0.2), (3, 1, 0.3), (4, 2, 0.1), (5, 2, 0.2), (6, 2, 0.3)
    ]  # fmt: skip
    assert list(run.metrics("val/mean").steps) == [1, 2]
    assert list(run.metrics("epoch/alpha").values) == [0.25, 0.25]
    assert list(run.metrics("sgd/lr/group_0").steps) == [2, 4, 6]
    assert {"epoch/mean", "weights_norm/layer/weight", "weights_norm/layer/bias", "grads_norm/layer/weight"} <= {
        *run.summary.metrics
    }


def test_an_exception_in_the_block_fails_the_run_and_a_run_around_is_left_open() -> None:
    def broken(engine: Engine, batch: int) -> None:
        raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"), RefuncLogger("vision"):
        trainer_of(broken).run([1])
    assert only_run().status == "failed"

    with experiment_context("outer") as outer:
        with RefuncLogger("vision") as logger:
            assert logger.tracker.run_id == outer.run_id
        assert outer.status == "running"


def test_close_ends_the_run_and_lines_of_ignite_are_in_it() -> None:
    logger = RefuncLogger("vision")
    trainer = trainer_of()
    trainer.logger.info("the engine's own line")
    logger.close()
    logger.close()
    assert only_run().status == "completed"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda logger: pickle.loads(pickle.dumps(logger))])
def test_a_copy_logs_to_the_same_run(copied: Any) -> None:
    logger = RefuncLogger("vision")
    copied(logger).log_metrics({"loss": 1.0}, step=3)
    logger.close()
    assert list(only_run().metrics("loss").steps) == [3]
    assert copied(logger).tracker.run_id == only_run().run_id


def test_a_checkpoint_of_ignite_goes_on_with_the_run(tmp_path: Path) -> None:
    logger = RefuncLogger("vision")
    for step in range(4):
        logger.log_metrics({"loss": 1.0}, step=step)
        if step == 1:
            Checkpoint({"refunc": logger}, str(tmp_path / "checkpoints"))(trainer_of())
    logger.close()

    [path] = (tmp_path / "checkpoints").iterdir()
    with RefuncLogger("vision", resume=torch.load(path)) as again:
        again.log_metrics({"loss": 2.0}, step=2)
    run = only_run()
    assert (run.attempt, list(run.metrics("loss").values)) == (2, [1.0, 1.0, 2.0])


def test_wrong_uses_are_told() -> None:
    logger = RefuncLogger("vision")
    with pytest.raises(AttributeError, match="log_metrik"):
        logger.log_metrik  # noqa: B018
    with pytest.raises(TypeError, match="global_step_transform"):
        OutputHandler("train", metric_names="all", global_step_transform=3)  # type: ignore[arg-type]
    logger.close()
    with pytest.raises(ValueError, match="no run"):
        RefuncLogger("vision", resume="nothing of this name")


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_example("train_ignite")
    run = only_run()
    assert (run.experiment_name, run.run_name, run.status) == ("regression", "ignite", "completed")
    losses = run.metrics("train/loss").values
    assert losses[-1] < losses[0] / 2


def test_two_ranks_are_one_run(tmp_path: Path) -> None:
    script = [sys.executable, str(EXAMPLES / "train_ignite.py")]
    ranks = [
        subprocess.Popen(script, env=variables(rank, 2), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [rank.communicate()[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    run = only_run()
    assert (run.status, run.ranks) == ("completed", [0, 1])
    assert len(run.metrics("train/loss", rank=1)) == len(run.metrics("train/loss")) == 12
    assert [shown.count("started: ") for shown in said] == [1, 0]
