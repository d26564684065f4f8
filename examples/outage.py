"""
Take an MLflow server away from a training, then kill the training, then its delivery too, and count the points.

    pip install ./refunc-core ./refunc-commands ./refunc-mlflow mlflow numpy psutil
    python examples/outage.py

Everything is real: a server on SQLite at a free port, trainings in processes of their own, and SIGKILL. All numbers of
MLflow come from its server; the times of the training's steps are those that the training logged.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from mlflow import MlflowClient

from refunc.logging import MLflowIntegration, MLLogger, experiment_context

BEGAN = time.monotonic()
#: Answers of a server that was just killed must not be waited for.
CLIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_DISABLE_PROGRESS": "1"}
#: The server hangs up after five seconds without a request, which may then be on its way on a busy machine.
PATIENT = ("--uvicorn-opts", "--timeout-keep-alive 600")


def train(name: str, uri: str) -> None:
    """Multiply matrices until the process is killed, and log each step's number and duration."""
    logger = MLLogger("train", level="WARNING")
    logger.add_integration(MLflowIntegration(tracking_uri=uri))
    weights = np.random.default_rng(7).random((256, 256))
    with experiment_context("outage", name):
        logger.log_hyperparams({"size": 256})
        began = time.perf_counter()
        for step in range(10**9):
            weights = weights @ weights
            weights /= np.abs(weights).max()
            now = time.perf_counter()
            logger.log_metrics({"number": float(step), "step_ms": (now - began) * 1e3}, step=step)
            began = now


def main() -> None:
    os.environ.update(CLIENT)
    with tempfile.TemporaryDirectory(prefix="refunc-outage-") as folder:
        os.chdir(folder)
        server = Server(Path(folder))
        try:
            lose_the_server(server)
            lose_everything(server)
        finally:
            server.kill()


def lose_the_server(server: Server) -> None:
    """The server goes and comes back in mid-training; then the training is killed."""
    server.start()
    with training("first", server.uri) as (process, journal):
        say("a training started, with one integration: MLflow")
        until(lambda: server.count("first") > 500, "the first points to arrive")
        say(f"MLflow has {server.count('first'):,} points")
        killed = time.time()
        server.kill()
        say("MLflow server killed (SIGKILL)")
        wait_for_steps(journal, 3_000)
        say(f"the training is at step {len(journal()):,} and goes on")
        server.start()
        started = time.time()
        until(lambda: server.count("first") >= steps_before(journal, started), "the points logged meanwhile to arrive")
        say(f"MLflow server back; {server.count('first'):,} points arrived so far")
        wait_for_steps(journal, 1_000)
        process.kill()
        say("training killed (SIGKILL)")
    until(lambda: server.status("first") == "KILLED", "MLflow to hear of it")
    check(server, "first", journal)
    tell_speed(journal(), killed, started)


def lose_everything(server: Server) -> None:
    """The server goes, then training and delivery are killed; `refunc sync` does the rest."""
    print()
    with training("second", server.uri) as (process, journal):
        say("another training started")
        until(lambda: server.count("second") > 500, "the first points to arrive")
        server.kill()
        say("MLflow server killed")
        wait_for_steps(journal, 3_000)
        delivery = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in delivery:
            child.kill()
        say("training killed, and its delivery process too")
    server.start()
    say(f"MLflow server back; of {len(journal()):,} points it has {server.count('second'):,}")
    say("$ refunc sync")
    subprocess.run([sys.executable, "-m", "refunc", "sync"], check=True)
    until(lambda: server.status("second") == "KILLED", "MLflow to hear of it")
    check(server, "second", journal)


class Server:
    """An MLflow server on SQLite."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._store = f"sqlite:///{folder}/mlflow.db"
        self._log = folder / "server.log"
        self._process: psutil.Popen | None = None
        self._client = MlflowClient(self.uri)

    def start(self) -> None:
        """Return when it answers."""
        address = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        with self._log.open("ab") as log:
            self._process = psutil.Popen(
                [sys.executable, "-m", "mlflow", "server", *address, *PATIENT, "--backend-store-uri", self._store],
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=log,
                stderr=log,
            )
        until(self._answers, "the server to answer")

    def kill(self) -> None:
        """Kill it, with its workers."""
        if self._process is not None:
            for process in (*self._process.children(recursive=True), self._process):
                process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            sys.exit(f"the server has ended:\n{self._log.read_text()[-2_000:]}")
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def run(self, name: str) -> Any:
        """Return MLflow's run of that name; None where there is none yet."""
        experiment = self._client.get_experiment_by_name("outage")
        found = experiment and self._client.search_runs([experiment.experiment_id], f"run_name LIKE '{name}%'")
        return found[0] if found else None

    def status(self, name: str) -> str | None:
        run = self.run(name)
        return run.info.status if run else None

    def points(self, name: str) -> list[int]:
        run = self.run(name)
        return [int(point.value) for point in self._client.get_metric_history(run.info.run_id, "number")] if run else []

    def count(self, name: str) -> int:
        """How many points have arrived: they come in order, and MLflow says the newest of each metric at once."""
        run = self.run(name)
        return int(run.data.metrics.get("number", -1)) + 1 if run else 0


Journal = Callable[[], list[dict[str, Any]]]


@contextmanager
def training(name: str, uri: str) -> Iterator[tuple[subprocess.Popen[bytes], Journal]]:
    """Start a training as a process, and give a way to read the points that it has on disk."""

    def points() -> list[dict[str, Any]]:
        lines = [
            line
            for path in Path("experiments").glob(f"*_{name}_*/journal/*.jsonl")
            for line in path.read_text().splitlines()
        ]
        return [json.loads(line) for line in lines if '"number"' in line and line.endswith("}")]

    process = subprocess.Popen([sys.executable, __file__, "train", name, uri])
    try:
        yield process, points
    finally:
        process.kill()
        process.wait()


def wait_for_steps(journal: Journal, count: int) -> None:
    goal = len(journal()) + count
    until(lambda: len(journal()) >= goal, f"{count:,} steps")


def steps_before(journal: Journal, moment: float) -> int:
    return sum(point["time"] < moment for point in journal())


def check(server: Server, name: str, journal: Journal) -> None:
    """Compare the points of MLflow with those of the journal, number by number; fail where they differ."""
    written = sorted(int(point["metrics"]["number"]) for point in journal())
    arrived = sorted(server.points(name))
    missing, doubled = len(set(written) - set(arrived)), len(arrived) - len(set(arrived))
    say(
        f"{len(written):,} points written, {len(arrived):,} arrived, {missing} missing, {doubled} twice; "
        f"MLflow says {server.status(name)}"
    )
    if written != arrived:
        sys.exit("the points that arrived are not the points that were written")


def tell_speed(points: list[dict[str, Any]], killed: float, started: float) -> None:
    """Print the cost of the outage to the training."""

    def median(first: float, last: float) -> str:
        return f"{statistics.median(p['metrics']['step_ms'] for p in points if first <= p['time'] < last):.2f} ms"

    before, during, after = median(0, killed), median(killed, started), median(started, float("inf"))
    say(f"a step of the training took {before} before, {during} during, {after} after the outage")


def until(condition: Callable[[], Any], what: str, deadline: float = 600) -> None:
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"waited {deadline:.0f} s in vain for {what}")
        time.sleep(0.2)


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:5.1f} s  {text}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train(*sys.argv[2:])
    else:
        main()
