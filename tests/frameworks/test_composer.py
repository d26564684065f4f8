"""Composer's Trainer with a RefuncLogger: batches and epochs, checkpoints, and how the run ends."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from composer import Callback, ComposerModel, Trainer
from tests.frameworks.stored import error_of, only_run, run_example
from torch.utils.data import DataLoader, TensorDataset

from refunc.frameworks.composer import RefuncLogger
from refunc.logging import experiment_context


class Line(ComposerModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, batch: Any) -> torch.Tensor:
        return self.layer(batch[0])

    def loss(self, outputs: torch.Tensor, batch: Any) -> torch.Tensor:
        return torch.nn.functional.mse_loss(outputs, batch[1])


class Broken(Callback):
    def batch_end(self, state: Any, logger: Any) -> None:
        raise ValueError("no data")


def trainer_of(logger: RefuncLogger, *callbacks: Callback, epochs: int = 2, **options: Any) -> Trainer:
    x = torch.linspace(0, 1, 6).unsqueeze(1)
    model = Line()
    return Trainer(
        model=model,
        train_dataloader=DataLoader(TensorDataset(x, 2 * x), batch_size=2),
        optimizers=torch.optim.SGD(model.parameters(), lr=0.1),
        max_duration=f"{epochs}ep",
        loggers=[logger],
        callbacks=[*callbacks],
        progress_bar=False,
        device="cpu",
        **options,
    )


def test_a_training_has_its_batches_epochs_params_and_files(tmp_path: Path) -> None:
    logger = RefuncLogger("vision", tags={"team": "vision"})
    trainer = trainer_of(logger, run_name="baseline")
    trainer.fit()
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"weights")
    trainer.logger.upload_file("models/weights.bin", weights)
    weights.unlink()
    for _ in range(2):
        trainer.logger.log_images(np.zeros((2, 2, 3)), name="input")
        trainer.logger.log_table(["a"], [[1]], name="table")
    trainer.close()

    run = only_run()
    assert (run.experiment_name, run.run_name, run.status) == ("vision", "baseline", "completed")
    loss = run.metrics("loss/train/total")
    assert list(loss.steps) == [0, 1, 2, 3, 4, 5]
    assert list(loss.epochs) == [0, 0, 0, 1, 1, 1]
    assert run.summary.tags == {"team": "vision"}
    assert "composer_version" in run.summary.params
    assert [artifact.name for artifact in run.artifacts] == ["models/weights.bin"]
    told = [entry.message for entry in run.entries() if "are not in the run" in entry.message]
    assert [kind for kind in ("images", "tables") if sum(kind in message for message in told) == 1] == [
        "images",
        "tables",
    ]


def test_an_exception_in_the_loop_fails_the_run_of_its_own() -> None:
    def train() -> None:
        trainer = trainer_of(RefuncLogger("vision"), Broken())
        try:
            trainer.fit()
        finally:
            trainer.close()

    with pytest.raises(ValueError, match="no data"):
        train()
    assert only_run().status == "failed"
    assert "no data" in error_of(only_run())


def test_a_training_that_loads_a_checkpoint_goes_on_with_its_run(tmp_path: Path) -> None:
    folder = str(tmp_path / "checkpoints")
    first = trainer_of(RefuncLogger("vision"), save_folder=folder, run_name="baseline")
    first.fit()
    first.close()
    again = trainer_of(RefuncLogger("vision"), load_path=f"{folder}/ep1-ba3-rank0.pt", run_name="other")
    again.fit()
    again.close()

    run = only_run()
    assert (run.attempt, run.status, run.run_name) == (2, "completed", "baseline")
    loss = run.metrics("loss/train/total")
    assert list(loss.steps) == [0, 1, 2, 3, 4, 5]
    assert len(run.metrics("loss/train/total", attempts="all")) == 9


def test_a_run_around_stays_open_and_copies_log_to_it() -> None:
    logger = RefuncLogger("vision")
    assert pickle.loads(pickle.dumps(logger)).tracker is None
    with experiment_context("outer") as outer:
        trainer = trainer_of(logger, epochs=1)
        trainer.fit()
        for copied in (copy.copy(logger), pickle.loads(pickle.dumps(logger))):
            copied.log_metrics({"late": 1.0}, step=9)
        trainer.close()
        assert outer.status == "running"
    assert list(only_run().metrics("late").steps) == [9, 9]


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_example("train_composer")
    run = only_run()
    assert (run.experiment_name, run.run_name, run.status) == ("regression", "composer", "completed")
    losses = run.metrics("loss/train/total").values
    assert losses[-1] < losses[0] / 2
