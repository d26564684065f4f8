"""Ranks of which the last dies at the steps that the command names, one an attempt; a checkpoint each five steps."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from refunc.logging import experiment_context, get_logger

STEPS, EACH = 20, 5
CHECKPOINT = Path("checkpoint.pt")
log = get_logger("train")


def main() -> None:
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    dies_at = dict(enumerate(map(int, sys.argv[1:]))).get(attempt)
    weight, first = torch.zeros(1), 0
    with experiment_context("line") as run:
        if CHECKPOINT.exists():
            saved = torch.load(CHECKPOINT)
            run.load_state_dict(saved["run"])
            weight, first = saved["weight"], saved["run"]["step"] + 1
        log.info("attempt %d begins at step %d", attempt, first)
        for step in range(first, STEPS):
            if step == dies_at and rank == ranks - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            gradient = torch.ones(1) * rank
            dist.all_reduce(gradient)
            weight += gradient
            run.log_metrics({"weight": weight.item(), "attempt": float(attempt)}, step=step)
            if step % EACH == EACH - 1:
                state = {"weight": weight, "run": run.state_dict()}
                if rank == 0:
                    torch.save(state, CHECKPOINT.with_suffix(".new"))
                    CHECKPOINT.with_suffix(".new").replace(CHECKPOINT)
                dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
