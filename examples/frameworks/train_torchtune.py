"""A loop as in torchtune's recipes, in a run: `python train_torchtune.py`, then `refunc ls`."""

from __future__ import annotations

import torch
from omegaconf import DictConfig, OmegaConf
from torchtune import config as instantiation

CONFIG = """
output_dir: ./torchtune_output
steps: 20
optimizer:
  _component_: torch.optim.SGD
  lr: 0.1
metric_logger:
  _component_: refunc.frameworks.torchtune.RefuncLogger
  experiment_name: regression
  run_name: torchtune
"""


def main(config: DictConfig) -> None:
    torch.manual_seed(7)
    x = torch.linspace(-1, 1, 64).unsqueeze(1)
    y = 3 * x + 1
    model = torch.nn.Linear(1, 1)
    optimizer = instantiation.instantiate(config.optimizer, model.parameters())
    metric_logger = instantiation.instantiate(config.metric_logger)
    metric_logger.log_config(config)
    for step in range(1, config.steps + 1):
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        metric_logger.log_dict({"loss": loss.item(), "lr": config.optimizer.lr}, step=step)
    metric_logger.close()


if __name__ == "__main__":
    main(OmegaConf.create(CONFIG))
