"""
How each package of `head_to_head.py` and `speed` is used, and how the values that it kept are read.

Each is used as its documentation says, with its defaults; the network and everything that phones home are switched
off. Where a package leaves a choice that bears on the result, it gets the one that keeps more: W&B's `log` is called
without `step=`, which would keep each step back until the next one begins.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: The call that logs numbers at a step, `log({"loss": 0.5}, step=1)`, and the call that ends the run properly.
Handles = tuple[Callable[..., object], Callable[[], object]]
METRIC = "number"


@dataclass(frozen=True)
class Contender:
    """
    A package in one way of using it.

    *start* opens a run in the training. *read* is called beside it afterwards, and gives the steps of each run that it
    finds: MLflow makes another one for a forked child.
    """

    name: str
    start: Callable[[str, str], Handles]
    read: Callable[[Path, str, str], list[list[int]]]
    served: bool = False


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a training in *folder*: no settings of the user's own, and nothing leaves the machine."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WANDB_", "MLFLOW_", "TRACKIO_", "REFUNC_", "HF_"))
    }
    return {
        **kept,
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRACKIO_DIR": str(folder / "trackio"),
    }


# -- W&B ---------------------------------------------------------------------------------------------------------------


def start_wandb(name: str, uri: str) -> Handles:
    import wandb

    run = wandb.init(project="survives", name=name)
    return lambda metrics, step: run.log(metrics), run.finish


def read_wandb(folder: Path, name: str, uri: str) -> list[list[int]]:
    """Read the run's file with the package's own reader."""
    found = []
    for file in folder.glob("wandb/offline-run-*/*.wandb"):
        lines = _answer(folder, "wandb", "leet", "inspect", "--json", str(file)).splitlines()
        records = [record["history"]["item"] for record in map(json.loads, lines) if record["type"] == "history"]
        found.append([int(item[METRIC]) for item in records])
    return found


# -- trackio -----------------------------------------------------------------------------------------------------------


def start_trackio(name: str, uri: str) -> Handles:
    import trackio

    trackio.init(project="survives", name=name)
    return trackio.log, trackio.finish


def read_trackio(folder: Path, name: str, uri: str) -> list[list[int]]:
    command = ("get", "metric", "--project", "survives", "--run", name, "--metric", METRIC, "--json")
    answer = _answer(folder, "trackio", *command)
    return [[int(point["value"]) for point in json.loads(answer)["values"]]] if answer.startswith("{") else []


# -- MLflow ------------------------------------------------------------------------------------------------------------


def start_mlflow(name: str, uri: str) -> Handles:
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(name)
    mlflow.start_run(run_name=name)
    return mlflow.log_metrics, mlflow.end_run


def start_mlflow_async(name: str, uri: str) -> Handles:
    import mlflow

    mlflow.config.enable_async_logging()
    return start_mlflow(name, uri)


def read_mlflow(folder: Path, name: str, uri: str) -> list[list[int]]:
    """Ask the server; all points that it returns are in its database."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return [[int(point.value) for point in client.get_metric_history(run.info.run_id, METRIC)] for run in runs]


# -- refunc ------------------------------------------------------------------------------------------------------------


def start_refunc(name: str, uri: str, **options: Any) -> Handles:
    from refunc.logging import MLLogger

    logger = MLLogger("train", **options)
    logger.start_experiment(name, name)
    return logger.log_metrics, logger.end_experiment


def start_refunc_process(name: str, uri: str) -> Handles:
    return start_refunc(name, uri, durability="process")


def start_refunc_mlflow(name: str, uri: str) -> Handles:
    from refunc.logging import MLflowIntegration, MLLogger

    logger = MLLogger("train")
    logger.add_integration(MLflowIntegration(tracking_uri=uri))
    logger.start_experiment(name, name)
    return logger.log_metrics, logger.end_experiment


def read_refunc(folder: Path, name: str, uri: str) -> list[list[int]]:
    from refunc.runs import open_store

    if not (folder / "experiments").exists():
        return []
    entries = open_store(folder / "experiments")[name].entries()
    return [[int(entry.metrics[METRIC]) for entry in entries if entry.level == "METRIC"]]


def _answer(folder: Path, tool: str, *arguments: str) -> str:
    """Return the stdout of a package's command line; it is empty where there is nothing to read."""
    command = [str(Path(sys.executable).with_name(tool)), *arguments]
    return subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=False).stdout


CONTENDERS = [
    Contender("W&B offline", start_wandb, read_wandb),
    Contender("trackio", start_trackio, read_trackio),
    Contender("MLflow", start_mlflow, read_mlflow, served=True),
    Contender("MLflow async", start_mlflow_async, read_mlflow, served=True),
    Contender("refunc", start_refunc, read_refunc),
    Contender("refunc `process`", start_refunc_process, read_refunc),
    Contender("refunc to MLflow", start_refunc_mlflow, read_mlflow, served=True),
]
