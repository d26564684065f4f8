"""`refunc sync` where a tracker or its plugin does not do: the line and exit code 1 say how much is left, and why."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import Arrived, Calls, MakeWaiting, OneLine, Running

pytestmark = [pytest.mark.once, pytest.mark.extras]

PROBE = {"name": "probe", "key": "probe-00000000", "path": "probes:ProbeIntegration", "options": {}, "target": ""}


def test_a_tracker_that_is_down_is_given_up_after_the_patience(
    invoke: Any, waiting: MakeWaiting, probes: Any, calls: Calls, own_folder: Path, one_line: OneLine
) -> None:
    (own_folder / "down").touch()
    run = waiting(probes.ProbeIntegration())
    began = time.monotonic()

    result = invoke("sync", "--patience", "2")

    assert 2 < time.monotonic() - began < 20
    assert result.exit_code == 1
    assert one_line(result) == f"left {run.folder.name} probe 6 records wait (retrying): the server is down"
    assert result.stderr.splitlines() == [
        "refunc: probe: retrying: the server is down",
        "refunc: probe does not accept records now. `refunc sync --follow` waits for it; so does a longer --patience.",
    ]
    assert calls() == []
    [facts] = json.loads(invoke("sync", "--json", "--patience", "0").stdout)
    assert (facts["is_done"], facts["state"], facts["waiting"]) == (False, "retrying", 6)
    assert facts["last_error"] == "the server is down"


def test_an_outage_that_ends_meanwhile_is_waited_for(
    running: Running, waiting: MakeWaiting, probes: Any, own_folder: Path, tools: Any, arrived: Arrived
) -> None:
    (own_folder / "down").touch()
    run = waiting(probes.ProbeIntegration())
    process = running("sync", "--patience", "60")
    tools.until(lambda: list((run.folder / "delivery").glob("probe-*.json")))
    (own_folder / "down").unlink()

    out, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert out.startswith("done")
    assert arrived() == ["line 0", "line 1", "line 2"]


def test_two_integrations_that_stand_differently_are_no_progress(
    running: Running, waiting: MakeWaiting, probes: Any, own_folder: Path
) -> None:
    """One has taken all but the end, the other nothing: that is given up like a single one."""
    (own_folder / "down").touch()
    waiting(probes.ProbeIntegration(), probes.EndlessIntegration())

    process = running("sync", "--patience", "2")
    out, err = process.communicate(timeout=60)

    assert process.returncode == 1, err
    assert sorted(line.split(maxsplit=2)[2] for line in out.splitlines()) == [
        "endless  1 record waits (retrying): never ends",
        "probe  7 records wait (retrying): the server is down",
    ]


def test_a_tracker_that_takes_one_artifact_after_the_other_is_not_given_up(
    invoke: Any, waiting: MakeWaiting, probes: Any, end_with_artifacts: Callable[..., None]
) -> None:
    """Together they take longer than the patience, each of them does not."""
    run = waiting(probes.SlowIntegration(), ends=False)
    end_with_artifacts(run, *"abcde")

    result = invoke("sync", "--patience", "2")

    assert result.exit_code == 0
    assert result.stderr.splitlines() == [f"uploaded {name}" for name in "abcde"]


@pytest.mark.slow
def test_a_call_that_never_returns_is_said_to_be_the_reason(
    running: Running, waiting: MakeWaiting, probes: Any, own_folder: Path
) -> None:
    run = waiting(probes.SleepsIntegration(), ends=False)
    run.put("log", {"level": "INFO", "message": "m", "metrics": {"loss": 1.0}})
    run.end("completed")

    process = running("sync", "--patience", "1")
    out, err = process.communicate(timeout=60)

    step = "a call does not return. Check that the tracker answers, and set a timeout in its client."
    assert (process.returncode, err) == (1, f"refunc: sleeps: {step}\n")
    assert re.search(r"7 records wait \(stuck\): a hook has not returned for \d+ s", out)


def test_the_other_integrations_of_a_run_are_delivered_all_the_same(
    invoke: Any, waiting: MakeWaiting, probes: Any, arrived: Arrived
) -> None:
    gone = {**PROBE, "name": "gone", "key": "gone-00000000", "path": "refunc_gone:GoneIntegration"}
    waiting(gone, probes.ProbeIntegration())

    result = invoke("sync", "--patience", "2")

    assert result.exit_code == 1
    done, left = sorted(" ".join(line.split()[::2]) for line in result.stdout.splitlines())
    assert done.startswith("done probe")
    assert left.startswith("left gone")
    assert arrived() == ["line 0", "line 1", "line 2"]


def test_a_plugin_that_is_no_longer_installed_is_the_reason_without_a_traceback(
    invoke: Any, waiting: MakeWaiting, one_line: OneLine
) -> None:
    waiting({**PROBE, "name": "gone", "path": "refunc_gone:GoneIntegration"})

    began = time.monotonic()

    result = invoke("sync", "--patience", "60")

    assert time.monotonic() - began < 20  # no patience installs it
    why = (
        "gone: no plugin of this name is installed. The run was recorded with the class refunc_gone:GoneIntegration: "
        "install the plugin that has it, or name its file with --plugins-dir. Without it, "
        "only its training can deliver to it"
    )
    assert result.exit_code == 1
    assert one_line(result).endswith(f"6 records wait (quarantined): {why}")
    assert result.stderr.splitlines() == [
        f"refunc: gone: delivery is stopped until this is fixed and `refunc sync` is run: {why}",
        "refunc: gone: install or repair the plugin that has refunc_gone.GoneIntegration; "
        "`refunc plugins` lists the plugins here.",
    ]


def test_options_that_the_plugin_does_not_have_any_more_are_not_waited_for(
    invoke: Any, waiting: MakeWaiting, probes: Any, one_line: OneLine
) -> None:
    waiting({**PROBE, "options": {"pth": "calls.jsonl"}})
    began = time.monotonic()

    result = invoke("sync", "--patience", "60")

    assert time.monotonic() - began < 20
    assert result.exit_code == 1
    assert "probe: unknown option 'pth'. Did you mean path?" in one_line(result)
