"""torchtune's metric logger interface on a run: made from a config, as recipes do."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchtune
from omegaconf import OmegaConf
from tests.frameworks.stored import only_run, run_example

from refunc.frameworks.torchtune import RefuncLogger
from refunc.logging import experiment_context


def test_a_recipes_calls(tmp_path: Path) -> None:
    config = OmegaConf.create(
        {
            "output_dir": str(tmp_path / "out"),
            "metric_logger": {
                "_component_": "refunc.frameworks.torchtune.RefuncLogger",
                "experiment_name": "tuning",
                "tags": {"team": "text"},
            },
            "optimizer": {"lr": 2e-5, "fused": "${missing}"},
        }
    )
    logger = torchtune.config.instantiate(config.metric_logger)
    assert isinstance(logger, RefuncLogger)
    logger.log_config(config)
    for step in range(1, 4):
        logger.log_dict({"loss": torch.tensor(1.0) / step, "lr": 2e-5}, step=step)
    logger.log("peak_memory", 7, step=3)
    logger.close()

    run = only_run()
    assert (run.experiment_name, run.status) == ("tuning", "completed")
    assert list(run.metrics("loss").steps) == [1, 2, 3]
    assert list(run.metrics("peak_memory").values) == [7.0]
    assert run.summary.params["optimizer"]["lr"] == 2e-5
    assert run.summary.tags == {"team": "text"}
    assert [artifact.name for artifact in run.artifacts] == ["torchtune_config.yaml"]


def test_a_recipe_that_raises_and_closes_has_failed() -> None:
    def recipe() -> None:
        logger = RefuncLogger()
        try:
            raise RuntimeError("out of memory")
        finally:
            logger.close()

    with pytest.raises(RuntimeError):
        recipe()
    assert (only_run().status, only_run().experiment_name) == ("failed", "torchtune")


def test_in_a_run_it_opens_and_ends_none() -> None:
    with experiment_context("outer") as outer:
        logger = RefuncLogger()
        pickle.loads(pickle.dumps(logger)).log("loss", 1.0, step=2)
        logger.close()
        assert outer.status == "running"
    assert list(only_run().metrics("loss").steps) == [2]


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_example("train_torchtune")
    run = only_run()
    assert (run.experiment_name, run.run_name, run.status) == ("regression", "torchtune", "completed")
    losses = run.metrics("loss").values
    assert losses[-1] < losses[0] / 2


def test_without_a_close_the_run_ends_with_the_process() -> None:
    script = "from refunc.frameworks.torchtune import RefuncLogger; RefuncLogger().log('loss', 1.0, step=1)"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert only_run().status == "completed"
