"""
A training, its delivery process and a real MLflow server, and the failures of each of the three.

Between delivery and server stands a proxy that can fail in five ways. `OUTAGE_SECONDS` and `OUTAGE_POINTS` in the
environment make the outage as long, and the training as large, as one likes; CI runs a short form.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.mlflow.proxy import Proxy

OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "2"))
OUTAGE_POINTS = int(os.environ.get("OUTAGE_POINTS", "6000"))
#: Seconds between two points: the second of a training's three parts lies in the outage.
PAUSE = max(0.0005, 3 * OUTAGE_SECONDS / OUTAGE_POINTS)
KILLS = int(os.environ.get("OUTAGE_KILLS", "6"))
#: Seconds within which whatever is waited for has to come: a delivery process imports mlflow first, and is the last to
#: get a processor.
PATIENCE = 120.0
pytestmark = [pytest.mark.trackers, pytest.mark.timeout(600 + 10 * KILLS)]


@pytest.fixture
def training(own_folder: Path, tools: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """
    Start a training that logs a point at a time, and says in the end whether it has imported mlflow.

    It logs in so many *parts*, each but the first when `go_on` tells it to. All is killed at the end.
    """
    started: list[subprocess.Popen[str]] = []

    def start(
        uri: str, experiment: str, points: int, pause: float = 0.0, parts: int = 1, hold: bool = False
    ) -> subprocess.Popen[str]:
        (own_folder / "train.py").write_text(
            textwrap.dedent(f"""
                import sys, time
                from refunc.logging import MLflowIntegration, MLLogger, experiment_context
                log = MLLogger("train", "WARNING")
                log.add_integration(MLflowIntegration(tracking_uri={uri!r}, experiment_name={experiment!r}))
                with experiment_context("outage", "run"):
                    log.log_hyperparams({{"lr": 0.1}})
                    for step in range({points}):
                        if step and step % {points // parts} == 0:
                            sys.stdin.readline()
                        log.log_metrics({{"loss": 1 / (1 + step), "step_number": float(step)}}, step=step)
                        time.sleep({pause})
                    log.flush()
                    print("mlflow" in sys.modules, flush=True)
                    if {hold}: time.sleep(300)
            """)
        )
        process = subprocess.Popen(
            [sys.executable, "train.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=own_folder,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    tools.kill_delivery(own_folder)


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def until_logged(process: subprocess.Popen[str]) -> None:
    """Wait until a training has logged all, which it says; it has never imported mlflow."""
    assert process.stdout is not None
    assert process.stdout.readline() == "False\n"


def cursor(folder: Path) -> dict[str, Any]:
    for path in folder.glob("experiments/*/delivery/mlflow-*.json"):
        try:
            found: dict[str, Any] = json.loads(path.read_text())
            return found
        except (OSError, ValueError):
            continue
    return {}


def assert_arrived_once(server: Any, experiment: str, points: int, status: str) -> None:
    [run] = server.runs(experiment)
    rows = server.history(run["info"]["run_id"], "step_number")
    assert len(rows) == points
    assert {int(row["step"]) for row in rows} == set(range(points))
    assert all(float(row["value"]) == int(row["step"]) for row in rows)
    assert run["info"]["status"] == status


@pytest.mark.parametrize("mode", ["503", "429", "reset", "stall"])
def test_a_server_that_fails_for_a_while_costs_nothing(
    mode: str,
    lone_server: Any,
    proxy: Proxy,
    training: Callable[..., Any],
    own_folder: Path,
    tools: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if mode == "stall":
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # it is given up sooner than by default
    monkeypatch.setenv("REFUNC_EXIT_WAIT", "0")
    experiment = f"{mode}-{time.time_ns()}"
    process = training(proxy.uri, experiment, OUTAGE_POINTS, pause=PAUSE, parts=3)
    tools.until(lambda: cursor(own_folder).get("delivered", 0) > 0, PATIENCE)
    proxy.fail(mode)
    go_on(process)
    time.sleep(OUTAGE_SECONDS)
    tools.until(lambda: proxy.failures and cursor(own_folder).get("state") == "retrying", PATIENCE)
    proxy.fail("pass")
    go_on(process)
    out, err = process.communicate()

    assert (process.returncode, out) == (0, "False\n"), err  # the training never imported mlflow
    tools.until(lambda: cursor(own_folder).get("ended"), 240)
    assert cursor(own_folder)["dead"] == 0
    assert_arrived_once(lone_server, experiment, OUTAGE_POINTS, "FINISHED")


def test_a_server_that_is_stopped_and_started_again_gets_everything_once(
    parts: Any, servers: Callable[..., Any], training: Callable[..., Any], own_folder: Path, tools: Any
) -> None:
    server = servers()
    experiment = f"refused-{time.time_ns()}"
    process = training(server.uri, experiment, OUTAGE_POINTS, pause=PAUSE, parts=3)
    tools.until(lambda: cursor(own_folder).get("delivered", 0) > 0, PATIENCE)
    server.stop()
    go_on(process)
    time.sleep(OUTAGE_SECONDS)
    tools.until(lambda: cursor(own_folder).get("state") == "retrying", PATIENCE)
    server.start()
    go_on(process)
    process.communicate()

    tools.until(lambda: cursor(own_folder).get("ended"), 240)
    assert_arrived_once(server, experiment, OUTAGE_POINTS, "FINISHED")
    server.stop()


def test_a_killed_training_says_killed_in_mlflow(
    lone_server: Any, training: Callable[..., Any], own_folder: Path, tools: Any
) -> None:
    experiment = f"killed-{time.time_ns()}"
    process = training(lone_server.uri, experiment, 3000, hold=True)
    until_logged(process)
    process.kill()

    tools.until(lambda: cursor(own_folder).get("ended"), PATIENCE)
    assert_arrived_once(lone_server, experiment, 3000, "KILLED")


def test_with_the_delivery_process_killed_too_sync_delivers_what_is_left(
    lone_server: Any, proxy: Proxy, training: Callable[..., Any], own_folder: Path, tools: Any
) -> None:
    experiment = f"both-{time.time_ns()}"
    proxy.fail("503")
    process = training(proxy.uri, experiment, 3000, hold=True)
    until_logged(process)
    tools.until(lambda: cursor(own_folder).get("state") == "retrying", PATIENCE)
    process.kill()
    tools.kill_delivery(own_folder)
    tools.until(lambda: not tools.delivery_pids(own_folder))
    refused = subprocess.run(
        [sys.executable, "-m", "refunc", "sync", "--patience", "1"], capture_output=True, text=True
    )
    proxy.fail("pass")

    done = subprocess.run([sys.executable, "-m", "refunc", "sync"], capture_output=True, text=True)

    assert refused.returncode == 1
    assert "records wait (retrying)" in refused.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("done")
    assert_arrived_once(lone_server, experiment, 3000, "KILLED")


def test_delivery_killed_at_random_points_loses_and_doubles_nothing(
    lone_server: Any, training: Callable[..., Any], own_folder: Path, tools: Any
) -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    experiment = f"kills-{time.time_ns()}"
    process = training(lone_server.uri, experiment, OUTAGE_POINTS, pause=PAUSE, parts=KILLS, hold=True)

    def delivered_beyond(count: int) -> int:
        found = int(cursor(own_folder).get("delivered", 0))
        return found if found > count else 0

    last = 0
    for kill in range(KILLS):
        # A restarted process needs seconds to get on, most of it for importing mlflow.
        last = tools.until(lambda last=last: delivered_beyond(last), PATIENCE)
        if kill < KILLS - 1:
            go_on(process)
        time.sleep(chance.uniform(0, 0.5))  # the moment of the kill is random
        tools.until(lambda: tools.kill_delivery(own_folder), PATIENCE)
    until_logged(process)
    process.kill()
    tools.until(lambda: cursor(own_folder).get("ended") or not tools.delivery_pids(own_folder), PATIENCE)
    if not cursor(own_folder).get("ended"):
        subprocess.run([sys.executable, "-m", "refunc", "sync"], check=True, capture_output=True)

    assert cursor(own_folder)["dead"] == 0, f"seed {seed}"
    assert_arrived_once(lone_server, experiment, OUTAGE_POINTS, "KILLED")
