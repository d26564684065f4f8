"""A training's own loop: the time of its calls beside work, four threads and checkpoints, and its cost in all."""

from __future__ import annotations

import os
import statistics
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import metrics
import numpy as np
from measuring import Figures, quantiles

SECONDS = 2.0

#: The conditions of a loop: calls a second, threads that make them, and whether checkpoints are written meanwhile.
CONDITIONS = {
    "100/s": (100, 1, False),
    "1,000/s": (1_000, 1, False),
    "10,000/s": (10_000, 1, False),
    "1,000/s in four threads": (1_000, 4, False),
    "1,000/s beside checkpoints": (1_000, 1, True),
}
CONTENDERS = ("limit: queue", "refunc", "trackio", "tensorboardX", "W&B offline")
CASES = tuple(f"{name}, {condition}" for condition in CONDITIONS for name in CONTENDERS)


def measure(case: str) -> Figures:
    """Return quantiles of a call at a pace, in a loop that works between two calls."""
    name, _, condition = case.partition(", ")
    rate, threads, is_saving = CONDITIONS[condition]
    log, close = metrics.CONTENDERS[name].start("loop", "")
    stop = threading.Event()
    saver = threading.Thread(target=_save_checkpoints, args=(stop,), daemon=True)
    if is_saving:
        saver.start()
    found: list[array[int]] = []
    workers = [threading.Thread(target=lambda: found.append(_loop(log, rate / threads))) for _ in range(threads - 1)]
    for worker in workers:
        worker.start()
    found.append(_loop(log, rate / threads))
    for worker in workers:
        worker.join()
    stop.set()
    close()
    return quantiles(array("q", [taken for each in found for taken in each]))


def _loop(log: Callable[..., object], rate: float) -> array[int]:
    """Work, and call *log* when it is due: without sleep, as in a training."""
    clock = time.perf_counter_ns
    taken = array("q")
    weights = np.random.default_rng(7).random((16, 16), dtype=np.float32)
    pause = int(1e9 / rate)
    began = due = clock()
    step = 0
    while clock() - began < SECONDS * 1e9:
        weights = weights @ weights
        weights /= np.abs(weights).max()
        if clock() < due:
            continue
        due += pause
        before = clock()
        log({"loss": 0.5 + step, "accuracy": 0.25}, step=step)
        taken.append(clock() - before)
        step += 1
    return taken


def _save_checkpoints(stop: threading.Event) -> None:
    """Write 64 MB and force them to disk, again and again."""
    block = os.urandom(1 << 20)
    while not stop.is_set():
        with open("checkpoint", "wb") as file:
            for _ in range(64):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())


# -- all that a training pays ------------------------------------------------------------------------------------------


def training(rate: int = 1_000, seconds: float = 5.0, turns: int = 4) -> Figures:
    """
    Log *rate* times a second with four integrations attached.

    `share` is the part of a core that refunc takes of the training's process: its own threads, and the calls. `loop`
    is the time of a step with logging over that of one without, which take turns.
    """
    from trackers import FOUR

    from refunc.logging import MLLogger, experiment_context

    logger = MLLogger("training", "CRITICAL")
    for kind in FOUR:
        logger.add_integration(kind())
    weights = np.random.default_rng(7).random((256, 256), dtype=np.float32)
    calls = 0
    ratios = []
    shares = []
    with experiment_context("training", "four integrations"):
        logger.log_metrics({"loss": 0.5, "accuracy": 0.25}, step=0)
        while sum(health.waiting for health in logger.health().values()):
            time.sleep(0.1)
        for _ in range(turns):
            steps_of, spent_of = {}, {}
            for is_logging in (False, True):
                used, began = _used_by_refunc(), time.perf_counter()
                taken, spent, due = [], 0, began
                while (now := time.perf_counter()) - began < seconds / turns:
                    weights = weights @ weights
                    weights /= np.abs(weights).max()
                    while due <= now:
                        due += 1 / rate
                        before = time.thread_time_ns()
                        if is_logging:
                            logger.log_metrics({"loss": 0.5 + calls, "accuracy": 0.25}, step=calls)
                            calls += 1
                        spent += time.thread_time_ns() - before
                    taken.append(time.perf_counter() - now)
                lasted = time.perf_counter() - began
                steps_of[is_logging] = statistics.median(taken)
                spent_of[is_logging] = spent / 1e9 / lasted
            # Reading the clock costs more in a loop that works than in one that does nothing else.
            calls_share = spent_of[True] - spent_of[False]
            shares.append((_used_by_refunc() - used) / lasted + calls_share)
            ratios.append(steps_of[True] / steps_of[False])
    return {"share": statistics.median(shares), "loop": statistics.median(ratios)}


def _used_by_refunc() -> float:
    """Return the processor seconds of refunc's threads in this process."""
    tasks = [Path(f"/proc/self/task/{each.native_id}/schedstat") for each in threading.enumerate() if _is_ours(each)]
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _is_ours(thread: Any) -> bool:
    return thread.name.startswith("refunc-")
