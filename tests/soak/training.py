"""A training that logs ordinary points and, among them, records that trackers do not expect."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refunc.logging import (
    MLflowIntegration,
    MLLogger,
    PrometheusIntegration,
    SlackIntegration,
    WandBIntegration,
    experiment_context,
)

chance = random.Random(11)
log = MLLogger("soak", level="WARNING")

NAMES = (
    *("точность/é", "layer/" * 60 + "w", "a b", "../x", "a.b:c#d?e%f", "loss\udc80", "🙂", " ", "_wandb", "tags"),
    *("x" * 300, "val/loss", "val_loss", "Val/Loss", "0", "-", "\n", "epoch", "_step", "refunc/step"),
)
VALUES = (float("nan"), float("inf"), -float("inf"), 1e308, 2**62, -1, True, 0.1)
PARAMS = ("x" * 10_000, None, [1, {"a": "b"}], {"a.b": 1, "a": {"b": 2}}, 7)
FILES = ("plain", "fig #1", "q?", "a%20b", "100%", "é", "sp ace", "x" * 180)


def metric(n: int) -> None:
    log.log_metrics({chance.choice(NAMES): chance.choice(VALUES)}, step=chance.choice([None, 0.5, -3, 2**40, n]))


def params(n: int) -> None:
    log.log_hyperparams({chance.choice(NAMES): chance.choice(PARAMS)})


def tag(n: int) -> None:
    log.set_tag(chance.choice(NAMES), chance.choice(["", "x" * 10_000, "é\udc80", n]))


def line(n: int) -> None:
    log.error("x" * chance.choice([0, 10, 65_536]) + f" error {n} \x1b[31m\udc80", extra={"a": [None]})


def artifact(n: int) -> None:
    path = Path(f"{chance.choice(FILES)}-{n}.txt")
    path.write_text(chance.choice(["", "content"]))
    kind, copy = chance.choice([None, "model", "odd type!"]), chance.choice([None, False])
    log.log_artifact(path, kind, copy=copy, metadata={"n": n})
    if chance.random() < 0.5:
        path.unlink()


def folder(n: int) -> None:
    path = Path(f"folder-{n}", "sub", "a#.txt")
    path.parent.mkdir(parents=True)
    path.write_text("a")
    log.log_artifact(path.parent.parent)


def result(n: int) -> None:
    log.log_result(chance.choice(NAMES), {"acc": n, chance.choice(NAMES): 0.5}, metadata={"n": n})


AWKWARD: tuple[Callable[[int], None], ...] = (metric, params, tag, line, artifact, folder, result)


def main(records: int, awkward: int, places: dict[str, Any]) -> None:
    log.add_integrations(
        [
            *(MLflowIntegration(tracking_uri=uri) for uri in places["mlflow"]),
            WandBIntegration(mode="offline"),
            PrometheusIntegration(port=places["port"]),
            PrometheusIntegration(push_gateway=places["gateway"]),
            SlackIntegration(webhook_url=places["slack"]),
        ]
    )
    every = max(1, records // awkward)
    with experiment_context("vision/resnet: 50%\udc80", os.fsdecode(b"run #1 \xc3\xa9\x80")):
        log.log_hyperparams({"lr": 0.1})
        for step in range(records):
            log.log_metrics({"loss": 1 / (step + 1)}, step=step)
            if step % every == 0:
                AWKWARD[step // every % len(AWKWARD)](step // every)
        log.log_result("final", 0.5)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
