"""A regression with PyTorch-Ignite, in a run: `python train_ignite.py`, then `refunc ls`."""

from __future__ import annotations

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import global_step_from_engine
from ignite.metrics import MeanSquaredError
from torch.utils.data import DataLoader, TensorDataset

from refunc.frameworks.ignite import RefuncLogger


def main(epochs: int = 3) -> None:
    torch.manual_seed(7)
    x = torch.linspace(-1, 1, 64).unsqueeze(1)
    loader = DataLoader(TensorDataset(x, 3 * x + 1), batch_size=16, shuffle=True)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = torch.nn.MSELoss()
    trainer = create_supervised_trainer(model, optimizer, loss)
    evaluator = create_supervised_evaluator(model, metrics={"mse": MeanSquaredError()})
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(loader))

    with RefuncLogger("regression", "ignite") as logger:
        logger.log_params({"lr": 0.1, "epochs": epochs, "model": model})
        logger.attach_output_handler(
            trainer, Events.ITERATION_COMPLETED, tag="train", output_transform=lambda loss: {"loss": loss}
        )
        logger.attach_opt_params_handler(trainer, Events.EPOCH_STARTED, optimizer=optimizer, tag="train")
        logger.attach_output_handler(
            evaluator,
            Events.EPOCH_COMPLETED,
            tag="val",
            metric_names="all",
            global_step_transform=global_step_from_engine(trainer),
        )
        trainer.run(loader, max_epochs=epochs)


if __name__ == "__main__":
    main()
