"""Integrations that raise, exit, hang, or take all memory: the others go on, and so does the exit."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fixture_types import Calls

Script = Callable[..., subprocess.Popen[str]]


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
    memory_group: Path | None, script: Script, calls: Calls, tools: Any, own_folder: Path
) -> None:
    """The kernel ends the delivery process first, and not the training, which is in the same group."""
    joined = f"import pathlib; pathlib.Path({str(memory_group)!r}, 'cgroup.procs').write_text(str(os.getpid()))"

    def kills() -> int:
        assert memory_group is not None
        control = memory_group / "memory.oom_control"
        counts = control if control.exists() else memory_group / "memory.events"
        [count] = [line.split()[1] for line in counts.read_text().splitlines() if line.startswith("oom_kill ")]
        return int(count)

    def was_taken_second() -> bool:
        """A process may leave Linux's list before its memory is free: a training that needs memory then is killed."""
        tools.kill_delivery(own_folder)
        tools.until(lambda: not tools.delivery_pids(own_folder))
        (own_folder / "calls.jsonl").unlink(missing_ok=True)
        return kills() > 1

    if memory_group is None:
        train_beside("EatsIntegration", script, calls, tools)
    else:
        train_beside("EatsIntegration", script, calls, tools, joined, was_taken_second)
        assert kills() > 0


def train_beside(
    kind: str,
    script: Script,
    calls: Calls,
    tools: Any,
    before: str = "pass",
    may_be_killed: Callable[[], bool] = lambda: False,
    tries: int = 3,
) -> None:
    """Train with an integration of *kind* and a good one, and check that neither this one nor the exit has to wait."""
    process = script(f"""
        {before}
        log.add_integrations([{kind}(), ProbeIntegration()])
        with experiment_context("exp", "bad"):
            print(began := time.time())
            arrived = Path("calls.jsonl")
            while time.time() - began < 4 or not arrived.exists() or arrived.read_text().count('"metrics"') < 10:
                log.log_metrics({{"t": time.time()}}, step=int((time.time() - began) * 100))
                time.sleep(0.01)
        print(time.time())
    """)
    out, err = process.communicate(timeout=60)
    if process.returncode == -signal.SIGKILL and tries > 1 and may_be_killed():
        train_beside(kind, script, calls, tools, before, may_be_killed, tries - 1)
        return

    assert process.returncode == 0, err
    assert "Traceback" not in err
    end = tools.until(lambda: calls("end"))[0]
    began, left = map(float, out.split())
    arrived = [call["time"] for call in calls("metrics")]
    # A pause may be the start of another process, which takes as long as that of the first one has taken here.
    most = 2.0 + 2 * (arrived[0] - began)
    pauses = [later - earlier for earlier, later in itertools.pairwise(arrived)]
    assert max(pauses) < most, pauses
    assert end["time"] - left < most
