"""
A regression, trained in a loop of one's own with accelerate, as a run of refunc.

    python examples/frameworks/train_accelerate.py
    accelerate launch --multi_gpu --num_processes 2 examples/frameworks/train_accelerate.py
    refunc show line

Start it again with --resume: the same run goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse

import torch
from accelerate import Accelerator
from accelerate.logging import get_logger

from refunc.frameworks.accelerate import RefuncTracker

logger = get_logger(__name__, log_level="INFO")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    options = parser.parse_args()

    tracker = RefuncTracker("regression", run_name="line")
    accelerator = Accelerator(cpu=True, log_with=tracker)
    torch.manual_seed(0)
    x = torch.rand(256, 1)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x + 1), batch_size=16, shuffle=True)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=options.lr)
    model, optimizer, data = accelerator.prepare(model, optimizer, data)

    accelerator.register_for_checkpointing(tracker)
    if options.resume:
        accelerator.load_state("checkpoint")  # before init_trackers, so that the checkpoint's run is the one that opens
    accelerator.init_trackers("regression", config=vars(options))
    try:
        for epoch in range(options.epochs):
            for inputs, targets in data:
                loss = torch.nn.functional.mse_loss(model(inputs), targets)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
                accelerator.log({"train/loss": loss, "epoch": epoch})
            mean = accelerator.gather(loss.detach()).mean().item()
            logger.info("epoch %d: loss %.4f", epoch, mean)
            accelerator.save_state("checkpoint")
    finally:
        accelerator.end_training()


if __name__ == "__main__":
    main()
