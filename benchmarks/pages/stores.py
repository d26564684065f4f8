"""
Stores of many runs for the measurements of pages: a few trainings, and copies of their folders under other ids.

A copy has a birth of its own (id, name, start), and the same journal: for a reader it is a run like any other.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

_TRAINING = """
import math, random, sys
from refunc.logging import MLLogger, experiment_context

seed, points, metrics = map(int, sys.argv[1:])
rng = random.Random(seed)
logger = MLLogger("training")
with experiment_context("bench", f"base-{seed}"):
    model = rng.choice(["resnet", "vit", "mlp"])
    logger.log_hyperparams({"lr": 10.0 ** -rng.randint(1, 4), "model": model, "seed": seed})
    logger.set_tag("team", rng.choice(["red", "blue"]))
    for step in range(points):
        loss = math.exp(-3 * step / points) + rng.gauss(0, 0.03)
        logger.log_metrics({"loss": loss, **{f"m{n}": loss * n for n in range(1, metrics)}}, step=step)
        if step % max(1, points // 20) == 0:
            logger.info("step %d: loss %.4f", step, loss)
"""


def train(store: Path, seed: int, points: int, metrics: int = 1) -> Path:
    """Return the folder of a run that a process of its own has written into *store*."""
    store = store.absolute()
    before = set(store.iterdir()) if store.is_dir() else set()
    environment = {**os.environ, "REFUNC_DIR": str(store)}
    command = [sys.executable, "-c", _TRAINING, str(seed), str(points), str(metrics)]
    nothing = subprocess.DEVNULL
    subprocess.run(command, env=environment, cwd=store.parent, check=True, stdout=nothing, stderr=nothing)
    return next(path for path in sorted(set(store.iterdir()) - before) if (path / "run.json").exists())


def many(store: Path, runs: int, points: int, metrics: int = 1, bases: int = 8) -> None:
    """Fill *store* with *runs* runs of *points* points for each metric; nothing is done if it has them."""
    done = store / "made.txt"
    wanted = f"{runs} {points} {metrics}"
    if done.exists() and done.read_text() == wanted:
        return
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir(parents=True)
    trained = [train(store, seed, points, metrics) for seed in range(min(bases, runs))]
    rng = random.Random(runs)
    for number in range(len(trained), runs):
        base = trained[number % len(trained)]
        birth = json.loads((base / "run.json").read_text())
        birth["run_id"] = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(8))
        birth["run_name"] = f"run-{number}"
        birth["start_time"] = math.floor(birth["start_time"]) + number
        folder = store / f"run-{number}_{birth['run_id']}"
        shutil.copytree(base, folder)
        (folder / "run.json").write_text(json.dumps(birth))
    done.write_text(wanted)
