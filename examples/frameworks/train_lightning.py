"""
A regression, trained by Lightning's Trainer, as a run of refunc.

    python examples/frameworks/train_lightning.py
    python examples/frameworks/train_lightning.py --devices 2
    torchrun --standalone --nproc-per-node 2 examples/frameworks/train_lightning.py --devices 2
    refunc show line

Start it again with --resume and more epochs: the same run goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from refunc.frameworks.lightning import RefuncLogger


class Line(pl.LightningModule):
    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, sync_dist=True)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        self.log("val/loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]), sync_dist=True)

    def test_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        self.log("test/loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options = parser.parse_args()

    pl.seed_everything(0)
    x = torch.rand(256, 1)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x + 1), batch_size=16)
    trainer = pl.Trainer(
        logger=RefuncLogger(name="regression", version="line", resume=options.resume),
        callbacks=[ModelCheckpoint(monitor="val/loss", save_last=True)],
        max_epochs=options.epochs,
        log_every_n_steps=4,
        accelerator="cpu",
        devices=options.devices,
    )
    model = Line(options.lr)
    trainer.fit(model, data, data, ckpt_path="last" if options.resume else None)
    trainer.test(model, data)


if __name__ == "__main__":
    main()
