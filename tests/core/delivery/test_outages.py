"""A tracker that is down, and processes that are killed: the training goes on, and the rest arrives later."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import Calls, Finished

from refunc.delivery.sync import sync, targets_of
from refunc.runs.run import Run

pytestmark = pytest.mark.once

Script = Callable[..., subprocess.Popen[str]]
Steps = Callable[[], list[int]]


def test_an_outage_costs_the_training_nothing_and_everything_arrives_once(
    script: Script, calls: Calls, own_folder: Path, tools: Any, steps: Steps
) -> None:
    process = script("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "outage"):
            for step in range(3000):
                log.log_metrics({"loss": 1.0}, step=step)
                if step == 1000: log.flush(); print("down", flush=True); sys.stdin.readline()
                if step == 2000: log.flush(); print(log.health()["probe"].state, flush=True); sys.stdin.readline()
    """)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    tools.until(lambda: 1000 in steps())
    (own_folder / "down").touch()
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    [path] = (own_folder / "experiments").glob("*/delivery/probe-*.json")
    tools.until(lambda: json.loads(path.read_text())["state"] == "retrying")
    (own_folder / "down").unlink()
    process.stdin.write("\n")
    process.stdin.flush()
    process.communicate(timeout=60)

    tools.until(lambda: calls("end"))
    assert steps() == list(range(3000))


def test_exit_waits_a_bounded_time_and_says_in_one_line_what_remains(
    finished: Finished, calls: Calls, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()

    code, out, err = finished("""
        log.add_integration(ProbeIntegration())
        log.log_metrics({"loss": 1.0}); log.flush()
        while log.health()["probe"].state != "retrying": time.sleep(0.01)
        from refunc.delivery import patience
        patience.EXIT_WAIT = 30.0
        print(time.time())
    """)

    assert code == 0
    assert 1.5 < time.time() - float(out) < 25  # two seconds without an answer, and not the thirty that it may take
    *_, waiting, remains = [line for line in err.splitlines() if " WARNING " in line]
    assert "waiting for probe" in waiting
    assert "probe 4 records (the server is down)" in remains
    assert "`refunc sync`" in remains
    (own_folder / "down").unlink()
    tools.until(lambda: calls("end"), deadline=40)  # by the process that goes on alone


def test_exit_wait_can_be_set(finished: Finished, own_folder: Path) -> None:
    (own_folder / "down").touch()

    _, _, err = finished(
        "log.add_integration(ProbeIntegration()); log.log_metrics({'loss': 1.0})", REFUNC_EXIT_WAIT="0"
    )

    assert "still to be delivered" in err
    assert "waiting for" not in err  # that is said after a second of the two that it takes else


def test_trouble_is_told_once_while_the_training_goes_on(finished: Finished, own_folder: Path) -> None:
    (own_folder / "down").touch()

    code, _, err = finished("""
        from refunc.delivery import handover
        handover.LOOK = 0.1
        log.add_integrations([ProbeIntegration(), PickyIntegration(path="picky.jsonl")])
        log.log_metrics({"loss": 1.0}); log.info("bad"); log.flush()
        cursors = lambda state: [h for h in log.health().values() if h.state == state]
        for _ in range(2):
            while not cursors("retrying"): time.sleep(0.01)
            time.sleep(0.5)
            os.unlink("down")
            while cursors("retrying") or any(h.waiting for h in log.health().values()): time.sleep(0.01)
            log.log_metrics({"loss": 1.0}); log.flush()
            open("down", "w").close()
            log.log_metrics({"loss": 1.0}); log.flush()
        os.unlink("down")
    """)

    assert code == 0
    told = [line for line in err.splitlines() if "probe: " in line or "picky: " in line]
    assert (
        len([line for line in told if "does not accept records at present" in line and "server is down" in line]) == 2
    )
    assert len([line for line in told if "picky: refused some records for good" in line]) == 1
    assert len(told) == 3, err


def test_training_and_delivery_killed_leave_the_rest_to_sync(
    script: Script, calls: Calls, own_folder: Path, tools: Any, steps: Steps
) -> None:
    (own_folder / "down").touch()
    process = script(
        """
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "killed"):
            for step in range(500): log.log_metrics({"loss": 1.0}, step=step)
            log.flush(); print("ready", flush=True); time.sleep(60)
        """,
        PROBE_TOKEN="hunter2",
    )
    assert process.stdout is not None
    process.stdout.readline()
    tools.until(lambda: list((own_folder / "experiments").glob("*/delivery/probe-*.json")))
    process.kill()
    for pid in tools.until(lambda: tools.delivery_pids(own_folder)):
        os.kill(pid, 9)
    tools.until(lambda: not tools.delivery_pids(own_folder))
    (own_folder / "down").unlink()

    command = [sys.executable, "-m", "refunc", "sync"] if _has_cli() else [sys.executable, "-c", _SYNC]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PROBE_TOKEN": "hunter2", "PYTHONPATH": "."},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert steps() == list(range(500))
    assert calls("end")[0]["status"] == "crashed"
    assert {call["token"] for call in calls()} == {"hunter2"}
    left = tools.left_in(own_folder)
    assert not [path for path, content in left.items() if b"hunter2" in content and "experiments" in path.parts]


_SYNC = """
from refunc.delivery.sync import sync, targets_of
from refunc.runs.store import open_store
settled = sync([target for run in open_store() for target in targets_of(run.folder)], patience=20)
assert all(target.is_done for target in settled), settled
"""


def _has_cli() -> bool:
    import importlib.util

    return importlib.util.find_spec("click") is not None


@pytest.mark.slow
def test_delivery_killed_at_random_points_loses_nothing(
    script: Script, calls: Calls, own_folder: Path, tools: Any, steps: Steps, ids: Callable[[], list[tuple[str, int]]]
) -> None:
    """The training starts it again; records sent since the last saved cursor may come again, with the same ids."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    process = script("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "kills"):
            step = 0
            while not os.path.exists("stop"):
                log.log_metrics({"loss": 1.0}, step=step); step += 1
                time.sleep(0.0005)
        print(step)
    """)
    for round_ in range(15):
        tools.until(lambda round_=round_: len({call["pid"] for call in calls()}) > round_)
        time.sleep(chance.uniform(0, 0.2))  # only the moment of the kill is random here
        tools.kill_delivery(own_folder)
    (own_folder / "stop").touch()
    out, _ = process.communicate(timeout=60)

    tools.until(lambda: calls("end"), deadline=30)
    assert set(steps()) == set(range(int(out))), f"seed {seed}"
    repeated = len(ids()) - len(set(ids()))
    assert repeated < 15 * 1_000, f"seed {seed}"


def test_sync_leaves_what_another_process_delivers_and_says_what_waits(
    training_in_outage: None, only_run: Callable[[], Run]
) -> None:
    run = only_run()

    [target] = sync(targets_of(run.folder), patience=1)

    assert target.is_taken
    assert not target.is_done
    assert target.health.waiting > 0
    assert target.health.last_error == "the server is down"
