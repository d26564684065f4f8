"""Starts two ranks with torch.multiprocessing, as many examples do: each tells itself its rank."""

from __future__ import annotations

import multiprocessing
import os
import sys

import torch.multiprocessing

from refunc.logging import experiment_context, log_metrics


def work(number: int) -> None:
    log_metrics({"worked": number}, step=number)
    with experiment_context("worker") as run:
        run.log_metrics({"own": number})


def train(rank: int, ranks: int) -> None:
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(ranks), MASTER_ADDR="127.0.0.1", MASTER_PORT="29500")
    with experiment_context("line") as run:
        run.log_metrics({"loss": float(rank)}, step=0)
        # The workers have the variables of their rank, and are none.
        for number, method in enumerate(("fork", "spawn")):
            worker = multiprocessing.get_context(method).Process(target=work, args=(number,))
            worker.start()
            worker.join()


if __name__ == "__main__":
    torch.multiprocessing.start_processes(train, args=(2,), nprocs=2, start_method=sys.argv[1])
