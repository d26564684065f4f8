"""A regression with MosaicML's Composer, in a run: `python train_composer.py`, then `refunc ls`."""

from __future__ import annotations

from typing import Any

import torch
from composer import ComposerModel, Trainer
from torch.utils.data import DataLoader, TensorDataset

from refunc.frameworks.composer import RefuncLogger


class Line(ComposerModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, batch: Any) -> torch.Tensor:
        return self.layer(batch[0])

    def loss(self, outputs: torch.Tensor, batch: Any) -> torch.Tensor:
        return torch.nn.functional.mse_loss(outputs, batch[1])


def main(epochs: int = 10) -> None:
    torch.manual_seed(7)
    x = torch.linspace(-1, 1, 64).unsqueeze(1)
    model = Line()
    trainer = Trainer(
        model=model,
        train_dataloader=DataLoader(TensorDataset(x, 3 * x + 1), batch_size=16, shuffle=True),
        optimizers=torch.optim.SGD(model.parameters(), lr=0.1),
        max_duration=f"{epochs}ep",
        loggers=[RefuncLogger("regression", "composer")],
        progress_bar=False,
        device="cpu",
    )
    trainer.fit()
    trainer.close()


if __name__ == "__main__":
    main()
