"""
A training with Hydra, whose jobs are runs of refunc, by the callback in hydra_conf/config.yaml.

    python examples/frameworks/train_hydra.py lr=0.2
    python examples/frameworks/train_hydra.py -m lr=0.1,0.2,0.4
    refunc ls
"""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from refunc.logging import MLLogger

logger = MLLogger("train_hydra")


@hydra.main(version_base=None, config_path="hydra_conf", config_name="config")
def main(config: DictConfig) -> float:
    slope = 0.0
    for epoch in range(config.epochs):
        slope -= config.lr * 2 * (slope - 3)  # the loss is (slope - 3) ** 2
        logger.log_metrics({"loss": (slope - 3) ** 2, "slope": slope}, epoch=epoch)
    logger.info("the slope is %.2f after %d epochs", slope, config.epochs)
    return (slope - 3) ** 2


if __name__ == "__main__":
    main()
