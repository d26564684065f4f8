"""A linear layer trained with accelerate on the processor, by as many ranks as it finds."""

from __future__ import annotations

import torch
from accelerate import Accelerator

from refunc.logging import experiment_context, get_logger


def main() -> None:
    accelerator = Accelerator(cpu=True)
    rank, ranks = accelerator.process_index, accelerator.num_processes
    model = torch.nn.Linear(1, 1)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    log = get_logger("train")
    with experiment_context("line") as run:
        run.log_hyperparams({"ranks": ranks})
        for step in range(5):
            loss = torch.nn.functional.mse_loss(model(torch.full((4, 1), float(rank))), torch.ones(4, 1))
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            weight = next(model.parameters()).item()
            run.log_metrics({"loss": loss.item(), "weight": weight}, step=step)
        log.info("INFO of rank %d", rank)
        log.warning("WARNING of rank %d", rank)
    accelerator.end_training()


if __name__ == "__main__":
    main()
