"""Small trainings with Lightning."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.demos.boring_classes import BoringModel


class Module(BoringModel):
    """Logs a metric of each kind."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self.step(batch)
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.step(batch))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.log("test_loss", self.step(batch))


def trainer_with(logger: Any, *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    """Return a Trainer of 2 epochs of 4 steps that logs every second step."""
    given = {
        "max_epochs": 2,
        "limit_train_batches": 4,
        "limit_val_batches": 1,
        "limit_test_batches": 1,
        "limit_predict_batches": 1,
        "log_every_n_steps": 2,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
        **options,
    }
    return pl.Trainer(logger=logger, callbacks=list(callbacks), **given)


class At(pl.Callback):
    """Makes a call behind the batch with this number."""

    def __init__(self, batch: int, call: Any) -> None:
        self.batch, self.call, self.seen = batch, call, 0

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self.seen += 1
        if self.seen == self.batch:
            self.call()
