"""
A search with Ray Tune, and then a training with Ray Train, each in a run: `python train_ray.py`, then `refunc ls`.

Needs `ray[tune,train]` on one machine; takes half a minute, most of it Ray's own start.
"""

from __future__ import annotations

import os

import ray
from ray import train, tune
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from refunc.frameworks.ray import RefuncLoggerCallback, RefuncTrainCallback
from refunc.logging import MLLogger, experiment_context

logger = MLLogger("fit")


def descend(rate: float, steps: int) -> list[float]:
    """Return the distances of gradient descent from the minimum of a parabola."""
    weight, losses = 1.0, []
    for _ in range(steps):
        weight -= rate * 2 * weight
        losses.append(weight * weight)
    return losses


def trial(config: dict[str, float]) -> None:
    for loss in descend(config["rate"], steps=3):
        tune.report({"loss": loss})


def train_loop(config: dict[str, float]) -> None:
    rank = train.get_context().get_world_rank()
    logger.info("worker %d begins", rank)  # a line of the run, though a process of Ray logs it
    for loss in descend(config["rate"], steps=3):
        train.report({"loss": loss, "rank": rank})


def search_and_train() -> None:
    storage = os.path.abspath("ray_results")
    results = tune.Tuner(
        trial,
        param_space={"rate": tune.grid_search([0.1, 0.3])},
        run_config=tune.RunConfig(
            name="search", storage_path=storage, verbose=0, callbacks=[RefuncLoggerCallback("search")]
        ),
    ).fit()
    best = results.get_best_result("loss", "min").config
    with experiment_context("training"):
        DataParallelTrainer(
            train_loop,
            train_loop_config=best,
            scaling_config=train.ScalingConfig(num_workers=2),
            run_config=train.RunConfig(name="training", storage_path=storage, callbacks=[RefuncTrainCallback()]),
        ).fit()


def main() -> None:
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    try:
        search_and_train()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
