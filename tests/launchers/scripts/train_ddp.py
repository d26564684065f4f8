"""
A linear layer trained by the ranks of a launch, with DistributedDataParallel on gloo.

Each worker of the DataLoader logs the items that it loads. The command says how workers start, and the epochs.
"""

from __future__ import annotations

import os
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler, get_worker_info

from refunc.logging import experiment_context, get_logger, log_metrics

METHOD, EPOCHS, ITEMS = sys.argv[1], int(sys.argv[2]), 32
log = get_logger("train")


class Numbers(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Noisy values of a line; each that is loaded is logged by the worker that does it."""

    epoch = 0

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        worker = get_worker_info()
        assert worker is not None, "this process is a rank, not a worker"
        log_metrics({"loaded": worker.id}, step=self.epoch * ITEMS + index)
        log.info("item %d of epoch %d", index, self.epoch)
        x = torch.tensor([index / ITEMS])
        return x, 3 * x + 1


def main() -> None:
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(rank)
    model = DistributedDataParallel(torch.nn.Linear(1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    items = Numbers()
    sampler = DistributedSampler(items, ranks, rank)
    loader = DataLoader(items, batch_size=4, sampler=sampler, num_workers=2, multiprocessing_context=METHOD)
    with experiment_context("line", "ddp") as run:
        run.log_hyperparams({"lr": 0.1, "ranks": ranks})
        step = 0
        for epoch in range(EPOCHS):
            items.epoch = epoch
            sampler.set_epoch(epoch)
            for x, y in loader:
                loss = torch.nn.functional.mse_loss(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log_metrics({"loss": loss.item(), "weight": next(model.parameters()).item()}, step=step)
                step += 1
            log.info("epoch %d of rank %d is over", epoch, rank)
        if rank == ranks - 1:
            log.warning("rank %d is the last, process %d", rank, os.getpid())
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
