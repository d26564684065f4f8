"""`log_metrics` of every package, into files on this machine."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contenders
import limits
from contenders import Handles
from measuring import Figures, Work, durable_after, measure_calls

VALUES = {count: {f"metric_{number}": 0.5 for number in range(count)} for count in (10, 100)}


def start_tensorboardx(name: str, uri: str) -> Handles:
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(f"tensorboard/{name}")

    def log(metrics: dict[str, float], step: int) -> None:
        for key, value in metrics.items():
            writer.add_scalar(key, value, step)

    return log, writer.close


def start_aim(name: str, uri: str) -> Handles:
    from aim import Run

    run = Run(repo=".", experiment=name)
    return run.track, run.close


def start_dvclive(name: str, uri: str) -> Handles:
    from dvclive import Live

    live = Live(f"dvclive-{name}", save_dvc_exp=False, report=None)

    def log(metrics: dict[str, float], step: int) -> None:
        live.step = step
        for key, value in metrics.items():
            live.log_metric(key, value)
        live.next_step()

    return log, live.end


def start_refunc_ambient(name: str, uri: str) -> Handles:
    from refunc.logging import MLLogger, experiment_context

    context = experiment_context(name, name)
    context.__enter__()
    return MLLogger("train").log_metrics, lambda: context.__exit__(None, None, None)


def start_refunc_implicit(name: str, uri: str) -> Handles:
    from refunc.logging import MLLogger

    logger = MLLogger("train")
    logger.log_metrics({"first": 1.0})
    return logger.log_metrics, logger.flush


def start_refunc_disk(name: str, uri: str) -> Handles:
    return contenders.start_refunc(name, uri, durability="disk")


@dataclass(frozen=True)
class Contender:
    """A package in one way of using it, and how many calls of it tell enough."""

    start: Callable[[str, str], Handles]
    calls: int


CONTENDERS = {
    "limit: no-op": Contender(limits.start_nothing, 50_000),
    "limit: queue": Contender(limits.start_queue, 50_000),
    "limit: write": Contender(limits.start_write, 50_000),
    "limit: disk": Contender(limits.start_disk, 1_000),
    "refunc": Contender(contenders.start_refunc, 50_000),
    "refunc, in a context": Contender(start_refunc_ambient, 50_000),
    "refunc, implicit run": Contender(start_refunc_implicit, 50_000),
    "refunc `process`": Contender(contenders.start_refunc_process, 50_000),
    "refunc `disk`": Contender(start_refunc_disk, 1_000),
    "trackio": Contender(contenders.start_trackio, 10_000),
    "tensorboardX": Contender(start_tensorboardx, 10_000),
    "W&B offline": Contender(contenders.start_wandb, 5_000),
    "aim": Contender(start_aim, 1_000),
    "dvclive": Contender(start_dvclive, 200),
    "MLflow async": Contender(contenders.start_mlflow_async, 300),
    "MLflow": Contender(contenders.start_mlflow, 200),
}


def open_run(contender: Contender, name: str, call: Callable[[Any], Callable[[int], object]]) -> Work:
    """Open a run called *name* in the working folder; *call* makes the call under test of the package's `log`."""
    log, close = contender.start(name, _mlflow_uri())
    return Work(call(log), close, settle=_settle_of(log))


def _mlflow_uri() -> str:
    """Return where MLflow is to write: a database whose tables another case made, which takes it many seconds."""
    database, made = Path("mlflow.db").absolute(), Path("..", "mlflow.db")
    if not database.exists() and made.exists():
        shutil.copy(made, database)
    return f"sqlite:///{database}"


def _settle_of(log: Any) -> Callable[[], object]:
    flush = getattr(getattr(log, "__self__", None), "flush", None)
    return flush if callable(flush) else lambda: None


def two(log: Any) -> Callable[[int], object]:
    return lambda number: log({"loss": 0.5 + number, "accuracy": 0.25}, step=number)


def several(count: int) -> Callable[[Any], Callable[[int], object]]:
    values = VALUES[count]
    return lambda log: lambda number: log({**values}, step=number)


def measure(name: str, values: int = 2) -> Figures:
    """Return the figures of *name* for calls with so many values."""
    contender = CONTENDERS[name]
    call = two if values == 2 else several(values)
    share = {2: 1, 10: 3, 100: 20}[values]
    folder = Path.cwd()
    calls = max(50, contender.calls // share)
    figures = measure_calls(lambda run: open_run(contender, run, call), calls, folder)
    if values == 2 and not name.startswith("limit"):
        work = open_run(contender, "durable", call)
        figures["durable"] = durable_after(work, folder)
        work.close()
    if (made := Path("mlflow.db")).exists() and not Path("..", "mlflow.db").exists():
        shutil.copy(made, "..")
    return figures


def log_and_die(name: str, steps: int = 999) -> None:
    """Log, a millisecond apart, and be killed right behind the last call."""
    import time

    log, _ = CONTENDERS[name].start("killed", "")
    for step in range(steps):
        log({"number": float(step), "half": 0.5}, step=step)
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def left_of_killed() -> int:
    """Return how many metrics records the run has that `log_and_die` left in the working folder."""
    from refunc.runs import open_store

    runs = list(open_store(Path("experiments"))["killed"].entries())
    return sum(entry.level == "METRIC" for entry in runs)
