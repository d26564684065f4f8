"""Delivery as a training meets it: real processes, killed and restarted, beside integrations that misbehave."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.delivery.sync import sync, targets_of
from refunc.runs.run import Run
from refunc.runs.store import open_store

Calls = Callable[..., list[dict[str, Any]]]
Finished = Callable[..., tuple[int, str, str]]
Script = Callable[..., subprocess.Popen[str]]


def ids(calls: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(writer, seq) for call in calls if call["hook"] == "metrics" for writer, seq in call["ids"]]


def steps(calls: list[dict[str, Any]]) -> list[int]:
    return [step for call in calls if call["hook"] == "metrics" for step in call["steps"]]


def trouble(err: str) -> list[str]:
    """Return the lines that nobody wants to see: warnings of refunc and of Python, tracebacks, half a logging call."""
    return [
        line for line in err.splitlines() if re.search(r" WARNING |Warning|Traceback|Logging error|still to be", line)
    ]


def only_run(folder: Path) -> Run:
    [run] = open_store(folder / "experiments")
    return run


def test_a_whole_run_arrives_from_another_process(
    finished: Finished, calls: Calls, own_folder: Path, tools: Any
) -> None:
    (own_folder / "model.txt").write_text("weights")

    code, out, err = finished("""
        log.info("before any run")
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "outer"):
            log.log_hyperparams({"lr": 0.1}); log.set_tag("gpu", "a100"); log.log_artifact("model.txt")
            for step in range(3000): log.log_metrics({"loss": 1.0}, step=step)
            log.error("it broke"); log.log_result("accuracy", 0.9)
        print(os.getpid())
    """)

    assert (code, trouble(err)) == (0, [])
    found = calls()
    assert {call["hook"] for call in found} == {"start", "params", "tags", "artifact", "metrics", "log", "end"}
    assert steps(found)[:3000] == list(range(3000))
    assert len(ids(found)) == len(set(ids(found))) == 3001
    assert calls("log")[0]["messages"] == ["before any run"]
    assert calls("artifact")[0]["files"][0][1] == "weights"
    assert calls("end") == [{**found[-1], "status": "completed", "run": "outer"}]
    assert {call["pid"] for call in found} != {int(out)}
    assert len({call["pid"] for call in found}) == 1
    tools.until(lambda: not tools.delivery_pids(own_folder))


def test_two_loggers_deliver_a_run_once_and_a_late_one_gets_its_history(finished: Finished, calls: Calls) -> None:
    finished("""
        other = MLLogger("other", "CRITICAL")
        with experiment_context("exp", "shared"):
            other.log_metrics({"a": 1}, step=1)
            log.add_integration(ProbeIntegration()); other.add_integration(ProbeIntegration())
            log.log_metrics({"b": 1}, step=2)
            other.log_metrics({"c": 1}, step=3)
    """)

    assert steps(calls()) == [1, 2, 3]
    assert len(calls("end")) == 1


def test_nested_runs_each_have_their_delivery(finished: Finished, calls: Calls) -> None:
    finished("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "outer"):
            log.log_metrics({"a": 1}, step=1)
            with experiment_context("exp", "inner"):
                log.log_metrics({"a": 1}, step=2)
    """)

    starts = {call["run"]: call["parent"] for call in calls("start")}
    assert starts["outer"] is None
    assert starts["inner"] is not None
    assert sorted(call["run"] for call in calls("end")) == ["inner", "outer"]


def test_a_tracker_of_logger_and_setup_logging_and_error_lines_open_what_they_need(
    finished: Finished, calls: Calls, own_folder: Path
) -> None:
    finished("""
        log.add_integration(ProbeIntegration())
        log.error("no run is open")
    """)

    assert [call["messages"] for call in calls("log")] == [["no run is open"]]
    assert only_run(own_folder).summary.lines == 1


@pytest.mark.parametrize(
    "start", ["with experiment_context('exp', 'early'):", "ExperimentTracker('exp', 'early').start_run();"]
)
def test_a_run_that_fails_before_its_first_record_is_told_of(
    start: str, finished: Finished, calls: Calls, tools: Any
) -> None:
    code, _, err = finished(f"""
        from refunc.logging import ExperimentTracker
        log.add_integration(ProbeIntegration())
        {start} raise KeyError("no data")
    """)

    assert code == 1
    [end] = tools.until(lambda: calls("end"))
    assert (end["status"], end["run"]) == ("failed", "early"), err
    assert "no data" in end["error"]
    assert len([line for line in err.splitlines() if "refunc" in line and "KeyError" not in line]) <= 4, err


def test_a_failed_run_and_children_arrive(finished: Finished, calls: Calls) -> None:
    code, _, _ = finished("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "fails"):
            log.log_metrics({"a": 1}, step=1)
            child = os.fork()
            if child == 0:
                log.log_metrics({"a": 1}, step=2); log.flush(); os._exit(0)
            os.waitpid(child, 0)
            raise ValueError("broken")
    """)

    assert code == 1
    assert sorted(steps(calls())) == [1, 2]
    [end] = calls("end")
    assert end["status"] == "failed"
    assert "ValueError: broken" in end["error"]


def test_a_killed_training_is_delivered_as_far_as_it_was_written_and_ends_as_crashed(
    script: Script, calls: Calls, own_folder: Path, tools: Any
) -> None:
    process = script("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "killed"):
            for step in range(5000): log.log_metrics({"loss": 1.0}, step=step)
            log.flush()
            print("ready", flush=True)
            time.sleep(60)
    """)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()

    tools.until(lambda: calls("end"))

    assert steps(calls()) == list(range(5000))
    assert calls("end")[0]["status"] == "crashed"
    tools.until(lambda: not tools.delivery_pids(own_folder))


def test_an_outage_costs_the_training_nothing_and_everything_arrives_once(
    script: Script, calls: Calls, own_folder: Path, tools: Any
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
    tools.until(lambda: 1000 in steps(calls()))
    (own_folder / "down").touch()
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    [path] = (own_folder / "experiments").glob("*/delivery/probe-*.json")
    tools.until(lambda: json.loads(path.read_text())["state"] == "retrying")
    (own_folder / "down").unlink()
    process.stdin.write("\n")
    process.stdin.flush()
    process.communicate(timeout=30)

    tools.until(lambda: calls("end"))
    assert steps(calls()) == list(range(3000))


def test_exit_waits_a_bounded_time_and_says_in_one_line_what_remains(
    finished: Finished, calls: Calls, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    began = time.monotonic()

    code, _, err = finished(
        """
        log.add_integration(ProbeIntegration())
        log.log_metrics({"loss": 1.0})
        """
    )

    assert code == 0
    assert 1.5 < time.monotonic() - began < 8
    [waiting, remains] = [line for line in err.splitlines() if " WARNING " in line]
    assert "waiting for probe" in waiting
    assert "probe 4 records (the server is down)" in remains
    assert "`refunc sync`" in remains
    (own_folder / "down").unlink()
    tools.until(lambda: calls("end"), deadline=40)  # by the process that goes on alone


def test_trouble_is_told_once_while_the_training_goes_on(
    finished: Finished, calls: Calls, own_folder: Path, tools: Any
) -> None:
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
    assert len([line for line in told if "does not take records at present" in line and "server is down" in line]) == 2
    assert len([line for line in told if "picky: does not take some records at all" in line]) == 1
    assert len(told) == 3, err


def test_exit_wait_can_be_set(finished: Finished, own_folder: Path) -> None:
    (own_folder / "down").touch()
    began = time.monotonic()

    finished("log.add_integration(ProbeIntegration()); log.log_metrics({'loss': 1.0})", REFUNC_EXIT_WAIT="0")

    assert time.monotonic() - began < 2


def test_training_and_delivery_killed_leave_the_rest_to_sync(
    script: Script, calls: Calls, own_folder: Path, tools: Any
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
    assert steps(calls()) == list(range(500))
    assert calls("end")[0]["status"] == "crashed"
    assert {call["token"] for call in calls()} == {"hunter2"}
    assert "hunter2" not in "".join(
        path.read_text() for path in (own_folder / "experiments").rglob("*") if path.is_file()
    )


_SYNC = """
from refunc.delivery.sync import sync, targets_of
from refunc.runs.store import open_store
settled = sync([target for run in open_store() for target in targets_of(run.folder)], patience=20)
assert all(target.is_done for target in settled), settled
"""


def _has_cli() -> bool:
    import importlib.util

    return importlib.util.find_spec("click") is not None


def test_a_secret_is_in_no_argument_and_no_file(script: Script, own_folder: Path, calls: Calls, tools: Any) -> None:
    script("""
        log.add_integration(ProbeIntegration(token="hunter2"))
        with experiment_context("exp", "secret"):
            log.log_metrics({"loss": 1.0}); log.flush(); time.sleep(60)
    """)
    tools.until(lambda: calls("metrics"))

    [pid] = tools.delivery_pids(own_folder)

    assert calls("metrics")[0]["token"] == "hunter2"
    assert b"hunter2" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()
    files = [path for path in (own_folder / "experiments").rglob("*") if path.is_file()]
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


def test_a_secret_that_was_logged_reaches_no_integration_and_no_log_file(
    finished: Finished, calls: Calls, own_folder: Path, tools: Any
) -> None:
    code, _, _ = finished(
        """
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "masked"):
            log.log_hyperparams({"api_key": "hunter2-a", "db": {"url": "postgresql://ada:hunter2-b@db/x"}})
            log.set_tag("token", "hunter2-c3")
            log.info("login with password=hunter2-d", extra={"client_secret": "hunter2-e"})
            log.warning("using %s", os.environ["MY_TOKEN"])
            raise RuntimeError("401 for https://ada:hunter2-f@host/")
        """,
        MY_TOKEN="hunter2-plain",
    )

    assert code == 1
    tools.until(lambda: calls("end"))
    for path in (*own_folder.glob("calls.jsonl"), *own_folder.glob("logs/*"), *own_folder.glob("experiments/**/*")):
        assert path.is_dir() or b"hunter2" not in path.read_bytes(), path
    assert calls("params")[0]["params"] == {"api_key": "***", "db": {"url": "postgresql://***@db/x"}}


@pytest.mark.slow
def test_delivery_killed_at_random_points_loses_nothing(
    script: Script, calls: Calls, own_folder: Path, tools: Any
) -> None:
    """The training starts it again; what was sent since the last saved cursor may come again, with the same ids."""
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
        time.sleep(chance.uniform(0, 0.2))  # the moment of the kill is what is random here
        for pid in tools.delivery_pids(own_folder):
            os.kill(pid, 9)
    (own_folder / "stop").touch()
    out, _ = process.communicate(timeout=60)

    tools.until(lambda: calls("end"), deadline=30)
    assert set(steps(calls())) == set(range(int(out))), f"seed {seed}"
    repeated = len(ids(calls())) - len(set(ids(calls())))
    assert repeated < 15 * 1_000, f"seed {seed}"


BAD = ["RaisesIntegration", "QuitsIntegration", "SleepsIntegration", "DiesIntegration", "OpenRaisesIntegration"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", BAD)
def test_one_integration_that_misbehaves_holds_up_neither_the_others_nor_the_exit(
    kind: str, script: Script, calls: Calls, tools: Any
) -> None:
    train_beside(kind, script, calls, tools)


@pytest.fixture
def memory_group() -> Iterator[Path | None]:
    """Make a control group of 256 MiB; None where this user cannot."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    group, limit = (old, "memory.limit_in_bytes") if old.is_dir() else (new, "memory.max")
    group /= f"refunc-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(256 << 20))
    except OSError:
        yield None
        return
    yield group
    deadline = time.monotonic() + 20
    while group.exists() and time.monotonic() < deadline:  # the kernel keeps it until its last process is gone
        with contextlib.suppress(OSError):
            group.rmdir()


@pytest.mark.slow
def test_an_integration_that_takes_all_memory_costs_its_own_process_only(
    memory_group: Path | None, script: Script, calls: Calls, tools: Any
) -> None:
    """The kernel ends the delivery process first, and not the training, which is in the same group."""
    joined = f"import pathlib; pathlib.Path({str(memory_group)!r}, 'cgroup.procs').write_text(str(os.getpid()))"

    train_beside("EatsIntegration", script, calls, tools, joined if memory_group else "pass")

    if memory_group is not None:
        control = memory_group / "memory.oom_control"
        counts = control if control.exists() else memory_group / "memory.events"
        [kills] = [line.split()[1] for line in counts.read_text().splitlines() if line.startswith("oom_kill ")]
        assert int(kills) > 0


def train_beside(kind: str, script: Script, calls: Calls, tools: Any, before: str = "pass") -> None:
    """Train with an integration of *kind* and a good one, and check that neither this one nor the exit has to wait."""
    process = script(f"""
        {before}
        log.add_integrations([{kind}(), ProbeIntegration()])
        with experiment_context("exp", "bad"):
            began = time.time()
            while time.time() - began < 4:
                log.log_metrics({{"t": time.time()}}, step=int((time.time() - began) * 100))
                time.sleep(0.01)
        print(time.time())
    """)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert "Traceback" not in err
    end = tools.until(lambda: calls("end"))[0]
    assert end["time"] - float(out) < 2.0
    arrived = [call["time"] for call in calls("metrics")]
    pauses = [later - earlier for earlier, later in itertools.pairwise(arrived)]
    assert max(pauses) < 2.0, pauses


def test_no_backend_and_no_delivery_code_runs_in_the_training(finished: Finished, calls: Calls) -> None:
    code, out, _ = finished("""
        log.add_integration(ProbeIntegration())
        log.log_metrics({"loss": 1.0})
        print([t.name for t in threading.enumerate()])
    """)

    assert code == 0
    names = json.loads(out.replace("'", '"'))
    assert "refunc-delivery" in names
    assert "refunc-probe" not in names


def test_what_cannot_travel_is_delivered_on_a_thread(finished: Finished, calls: Calls) -> None:
    code, out, err = finished("""
        class Here(ProbeIntegration):
            pass
        log.add_integration(Here())
        with experiment_context("exp", "here"):
            for step in range(10): log.log_metrics({"a": 1}, step=step)
        print(os.getpid())
    """)

    assert (code, trouble(err)) == (0, [])
    assert steps(calls()) == list(range(10))
    assert {call["pid"] for call in calls()} == {int(out)}
    assert len(calls("end")) == 1


def test_a_thread_can_be_asked_for(finished: Finished, calls: Calls) -> None:
    _, out, _ = finished(
        "log.add_integration(ProbeIntegration()); log.log_metrics({'a': 1}); print(os.getpid())",
        REFUNC_DELIVERY="thread",
    )

    assert {call["pid"] for call in calls()} == {int(out)}


def test_switched_off_nothing_is_delivered(finished: Finished, own_folder: Path, calls: Calls) -> None:
    code, _, err = finished(
        "log.add_integration(ProbeIntegration()); log.log_metrics({'a': 1})", REFUNC_MODE="disabled"
    )

    assert (code, trouble(err), calls()) == (0, [], [])
    assert not (own_folder / "experiments").exists()


def test_integration_context_gives_integrations_for_a_block(finished: Finished, calls: Calls) -> None:
    finished("""
        from refunc.logging import IntegrationsManager, integration_context
        manager = IntegrationsManager()
        manager.add_integration("probe", ProbeIntegration())
        with integration_context(manager) as integrations:
            log.add_integrations(integrations)
            with experiment_context("exp", "inside"): log.log_metrics({"a": 1}, step=1)
        with experiment_context("exp", "outside"): log.log_metrics({"a": 1}, step=2)
        assert manager.health()["probe"].name == "probe"
    """)

    assert [call["run"] for call in calls("end")] == ["inside"]
    assert steps(calls()) == [1]


def test_sync_leaves_what_another_process_delivers_and_says_what_waits(
    script: Script, calls: Calls, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    script("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "live"):
            log.log_metrics({"a": 1}); log.flush(); time.sleep(60)
    """)
    tools.until(lambda: list((own_folder / "experiments").glob("*/delivery/probe-*.json")))
    run = only_run(own_folder)

    [target] = sync(targets_of(run.folder), patience=1)

    assert target.is_taken
    assert not target.is_done
    assert target.health.waiting > 0
    assert target.health.last_error == "the server is down"
