"""`refunc sync` while others write or deliver: each record arrives once, from any process."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import Arrived, Calls, MakeWaiting, OneLine, Running

pytestmark = [pytest.mark.once, pytest.mark.extras]


def test_a_run_that_goes_on_gets_what_there_is_and_is_left(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, one_line: OneLine
) -> None:
    run = waiting(probes.ProbeIntegration(), ends=False)

    result = invoke("sync")

    assert result.exit_code == 1
    assert one_line(result) == f"left {run.folder.name} probe 0 records wait (ok): the run has not ended yet"
    assert [call["hook"] for call in calls()] == ["start", "log"]
    run.end("completed")
    assert invoke("sync").exit_code == 0
    assert [call["hook"] for call in calls()] == ["start", "log", "end"]


def test_a_run_that_its_training_delivers_is_left_to_it(
    training_in_outage: None, invoke: Any, one_line: OneLine
) -> None:
    result, as_json = invoke("sync"), invoke("sync", "--json")

    assert (result.exit_code, as_json.exit_code) == (1, 1)
    assert re.fullmatch(r"busy \S+_live_\S+ probe another process is delivering it", one_line(result))
    [facts] = json.loads(as_json.stdout)
    assert (facts["state"], facts["is_done"], facts["delivered"]) == ("delivered elsewhere", False, 0)
    assert facts["waiting"] > 0


def test_a_run_at_rest_that_another_sync_delivers_is_left_to_it(
    running: Running,
    invoke: Any,
    waiting: MakeWaiting,
    probes: Any,
    one_line: OneLine,
    end_with_artifacts: Callable[..., None],
    own_folder: Path,
) -> None:
    run = waiting(probes.SlowIntegration(), ends=False)
    end_with_artifacts(run, *"abcdef")
    process = running("sync")
    assert process.stderr is not None
    first = process.stderr.readline()
    (own_folder / "hold").touch()

    result = invoke("sync")

    assert (result.exit_code, one_line(result).split()[0]) == (1, "busy")
    (own_folder / "hold").unlink()
    out, rest = process.communicate(timeout=60)
    assert (process.returncode, out.split()[0]) == (0, "done")
    assert (first + rest).splitlines() == [f"uploaded {name}" for name in "abcdef"]


def test_two_syncs_at_once_deliver_a_run_once(
    running: Running, waiting: MakeWaiting, probes: Any, calls: Calls, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    run = waiting(probes.ProbeIntegration())
    process = running("sync")
    tools.until(lambda: list((run.folder / "delivery").glob("probe-*.json")))

    other = running("sync")
    (own_folder / "down").unlink()
    for each in (process, other):
        each.communicate(timeout=60)
        assert each.returncode == 0
    assert [call["hook"] for call in calls()] == ["start", "log", "end"]


def test_ctrl_c_ends_it_and_the_next_sync_goes_on(
    running: Running, invoke: Any, waiting: MakeWaiting, probes: Any, own_folder: Path, tools: Any, arrived: Arrived
) -> None:
    (own_folder / "down").touch()
    run = waiting(probes.ProbeIntegration())
    process = running("sync", "--follow")
    tools.until(lambda: list((run.folder / "delivery").glob("probe-*.json")))

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    (own_folder / "down").unlink()
    assert invoke("sync").exit_code == 0
    assert arrived() == ["line 0", "line 1", "line 2"]


def test_follow_goes_on_until_the_run_has_ended(
    running: Running, waiting: MakeWaiting, probes: Any, calls: Calls, tools: Any, arrived: Arrived
) -> None:
    run = waiting(probes.ProbeIntegration(), ends=False)
    process = running("sync", "--follow", "--patience", "0")
    tools.until(lambda: len(arrived()) == 3)
    run.put("log", {"level": "INFO", "message": "a later line"})
    run.writer.flush()
    tools.until(lambda: len(arrived()) == 4)
    assert process.poll() is None
    run.end("failed")

    out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")
    assert out.startswith("done")
    assert calls("end")[0]["status"] == "failed"
    assert len(calls("start")) == 1


def test_follow_waits_for_the_process_that_delivers_and_sends_nothing_again(
    script: Running, running: Running, calls: Calls, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    training = script("""
        log.add_integrations([ProbeIntegration(), OnceIntegration(path="once.jsonl")])
        with experiment_context("exp", "live"):
            for step in range(100): log.log_metrics({"a": 1}, step=step)
            log.flush(); sys.stdin.readline()
    """)
    tools.until(lambda: len(list((own_folder / "experiments").glob("*/delivery/*.json"))) == 2)
    process = running("sync", "--follow")
    tools.until(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 2)  # it has begun to wait for both
    (own_folder / "down").unlink()
    tools.until(lambda: calls("metrics") and calls("metrics", path="once.jsonl"))
    assert process.poll() is None
    training.communicate("\n", timeout=60)

    out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert [line.split()[0] for line in out.splitlines()] == ["done", "done"]
    for path in ("calls.jsonl", "once.jsonl"):
        assert [step for call in calls("metrics", path) for step in call["steps"]] == list(range(100))
        assert (len(calls("start", path)), len(calls("end", path))) == (1, 1)


def test_a_run_removed_meanwhile_is_waited_for_no_longer(
    running: Running, waiting: MakeWaiting, probes: Any, own_folder: Path, tools: Any
) -> None:
    (own_folder / "down").touch()
    run = waiting(probes.ProbeIntegration())
    process = running("sync", "--follow")
    tools.until(lambda: list((run.folder / "delivery").glob("probe-*.json")))

    run.folder.rename(own_folder / "removed")  # at once: a cursor that is saved meanwhile would stop an rmtree
    _, err = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "Traceback" not in err
    assert not run.folder.exists()
