"""
The rate of delivery to MLflow, and its cost to a training, beside the same work without it.

    pip install ./refunc-core ./refunc-commands ./refunc-mlflow mlflow numpy psutil
    python benchmarks/delivery.py rate      100,000 metrics by MlflowClient.log_batch alone, and from a journal
    python benchmarks/delivery.py loop      steps of a training without and with an integration, through an outage
    python benchmarks/delivery.py thread    the processor time of delivery on a thread of the training

Machines are shared and servers differ, so each figure stands beside its counterpart of the same run: read the ratios.
The server is MLflow's own on SQLite, on this machine, and takes processor time as well.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from server import QUIET, Server, until

# -- rate --------------------------------------------------------------------------------------------------------------


def rate(rounds: int = 5, metrics: int = 100_000) -> None:
    """Print metrics a second of each way, interleaved."""
    found: dict[str, list[float]] = {"log_batch alone": [], "journal, 1 a record": [], "journal, 10 a record": []}
    with Server(Path.cwd()) as server:
        for number in range(rounds + 1):  # the first is for the caches
            seconds = [
                by_client(server.uri, metrics),
                by_delivery(server.uri, f"run-1-{number}", metrics, 1),
                by_delivery(server.uri, f"run-10-{number}", metrics, 10),
            ]
            if number:
                for taken, each in zip(found.values(), seconds, strict=True):
                    taken.append(each)
    print(f"{metrics:,} metrics to MLflow on SQLite, {rounds} rounds: metrics a second")
    bare = statistics.median(found["log_batch alone"])
    for name, taken in found.items():
        median = statistics.median(taken)
        print(f"{name:22} median {metrics / median:8,.0f}   best {metrics / min(taken):8,.0f}   {bare / median:5.0%}")


def by_client(uri: str, metrics: int) -> float:
    """Return the seconds of the client alone; its batches of a thousand are made before the clock starts."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("bare")
    run = client.create_run(experiment.experiment_id if experiment else client.create_experiment("bare"))
    now = int(time.time() * 1000)
    starts = range(0, metrics, 1000)
    batches = [[Metric("m0", 1 / (1 + n), now + n, n) for n in range(first, first + 1000)] for first in starts]
    began = time.perf_counter()
    for batch in batches:
        client.log_batch(run.info.run_id, metrics=batch)
    client.set_terminated(run.info.run_id)
    return time.perf_counter() - began


def by_delivery(uri: str, name: str, metrics: int, width: int) -> float:
    """Return the seconds from a journal on disk to the end of the run in MLflow."""
    from refunc.delivery.courier import Courier
    from refunc.logging import MLflowIntegration, MLLogger, experiment_context
    from refunc.plugins.integration import passport_of

    logger = MLLogger("rate", "CRITICAL")
    with experiment_context("rate", name) as run:
        for step in range(metrics // width):
            logger.log_metrics({f"m{n}": 1 / (1 + step) for n in range(width)}, step=step)
    integration = MLflowIntegration(tracking_uri=uri)
    courier = Courier(passport_of(integration), lambda: integration)
    courier.deliver(run.folder)
    began = time.perf_counter()
    courier.start()
    until(lambda: courier.subscriptions[0].is_done)
    taken = time.perf_counter() - began
    courier.stop(10)
    return taken


# -- loop --------------------------------------------------------------------------------------------------------------


def loop(rounds: int = 5, seconds: float = 6.0) -> None:
    """
    Print the steps of a training with an integration over those of one without, in turns on the same cores.

    Before, during and after: the server is up, is killed, is back with all that waited. The training without one has
    its turn when the other's backlog is delivered, or during the outage.
    """
    ratios: dict[str, list[float]] = {"before": [], "during": [], "after": []}
    with Server(Path.cwd()) as server, Training(None) as bare, Training(server.uri) as tracked:
        bare.median(1.0), tracked.median(1.0)
        for _ in range(rounds):
            for part, found in ratios.items():
                if part == "during":
                    server.kill()
                elif part == "after":
                    server.start()
                with_integration = tracked.median(seconds)
                if part != "during":
                    tracked.wait()
                found.append(with_integration / bare.median(seconds))
        modules = tracked.ask("modules")
    print(f"a step of numpy work that logs two metrics, with MLflow over without; {rounds} rounds of {seconds:.0f} s")
    for part, each in ratios.items():
        print(f"{part:8} median {statistics.median(each):.3f}   {min(each):.3f} to {max(each):.3f}")
    print(f"mlflow imported by the training: {modules}")


class Training:
    """A training in a process of its own, which works when it is asked to."""

    def __init__(self, uri: str | None, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "train", uri or ""],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Training:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate("end\n")

    def ask(self, what: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def median(self, seconds: float) -> float:
        """Return the median seconds of a step."""
        return float(self.ask(f"work {seconds}"))

    def wait(self) -> None:
        """Return when all that it logged is delivered."""
        until(lambda: int(self.ask("waiting")) == 0)


def train(uri: str) -> None:
    """Carry out each line of stdin, and answer it with one line."""
    from refunc.logging import MLflowIntegration, MLLogger, experiment_context

    logger = MLLogger("train", "CRITICAL")
    if uri:
        logger.add_integration(MLflowIntegration(tracking_uri=uri))
    weights = np.random.default_rng(7).random((512, 512), dtype=np.float32)
    step = 0
    with experiment_context("loop", "training"):
        for line in sys.stdin:
            match line.split():
                case ["work", seconds]:
                    times = []
                    end = time.perf_counter() + float(seconds)
                    while (began := time.perf_counter()) < end:
                        weights = weights @ weights
                        weights /= np.abs(weights).max()
                        logger.log_metrics({"loss": float(weights[0, 0]), "number": step}, step=step)
                        step += 1
                        times.append(time.perf_counter() - began)
                    print(statistics.median(times), flush=True)
                case ["waiting"]:
                    logger.flush()
                    print(sum(health.waiting for health in logger.health().values()), flush=True)
                case ["modules"]:
                    print("mlflow" in sys.modules, flush=True)
                case ["cpu"]:
                    used = {thread.name: _cpu(thread) for thread in threading.enumerate()}
                    print(used.get("refunc-mlflow", 0.0), flush=True)
                case _:
                    return


# -- thread ------------------------------------------------------------------------------------------------------------


def thread(seconds: float = 30.0) -> None:
    """Print the part of a core that the delivery thread of a training takes while it has a backlog all the time."""
    with Server(Path.cwd()) as server, Training(server.uri, REFUNC_DELIVERY="thread") as training:
        training.median(3.0)
        used, began = float(training.ask("cpu")), time.perf_counter()
        training.median(seconds)
        share = (float(training.ask("cpu")) - used) / (time.perf_counter() - began)
        waiting = training.ask("waiting")
    print(
        f"delivery on a thread of the training: {share:.1%} of a core over {seconds:.0f} s, {waiting} records waiting"
    )


def _cpu(thread: threading.Thread) -> float:
    """Return the processor seconds of a thread of this process."""
    stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    os.environ.update(QUIET)
    if sys.argv[1:2] == ["train"]:
        train(sys.argv[2])
    else:
        chosen = {"rate": rate, "loop": loop, "thread": thread}.get(sys.argv[1] if len(sys.argv) > 1 else "")
        if chosen is None:
            sys.exit(__doc__)
        with tempfile.TemporaryDirectory(prefix="refunc-delivery-") as folder:
            os.chdir(folder)
            chosen()
