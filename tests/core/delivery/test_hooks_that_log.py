"""An integration that logs in its own hook, behind the end of its run: its records are kept, and come to an end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from refunc.journal.record import LogLine, Metrics
from refunc.runs.store import open_store

_TO_THE_END = """
from chatty import ChattyIntegration, hookimpl, log, numbers

class TalksIntegration(ChattyIntegration):
    @hookimpl
    def on_run_end(self, run, record):
        super().on_run_end(run, record)
        log.log_metrics({"hook": next(numbers)})

log.add_integration(TalksIntegration())
"""

_ENDS = {
    "in the script": """
with experiment_context("e", "main", logger=log):
    for n in range(50): log.log_metrics({"main": n}, step=n)
""",
    "at exit": """
log.start_experiment("e", "main")
for n in range(50): log.log_metrics({"main": n}, step=n)
""",
    "at exit, implicit": """
for n in range(50): log.log_metrics({"main": n}, step=n)
""",
    "in the script, and more is logged": """
with experiment_context("e", "main", logger=log):
    for n in range(50): log.log_metrics({"main": n}, step=n)
time.sleep(0.3)
log.log_metrics({"main": 50}, step=50)
""",
}


@pytest.mark.parametrize("end", _ENDS)
def test_the_exit_is_quick_and_what_the_hook_logged_is_kept(
    end: str,
    script: Callable[..., subprocess.Popen[str]],
    chatty: None,
    calls: Callable[..., list[dict[str, Any]]],
) -> None:
    code = _TO_THE_END + _ENDS[end] + "print(time.monotonic(), flush=True)"
    training = script(code, REFUNC_DELIVERY="thread", REFUNC_EXIT_WAIT="30")
    out, err = training.communicate(timeout=60)
    took = time.monotonic() - float(out)

    assert training.returncode == 0, err
    assert "still to be delivered" not in err
    assert took < 15
    records = [record for run in open_store() for record in run.records()]
    points = [record.metrics for record in records if isinstance(record, Metrics)]
    assert sorted(each["main"] for each in points if "main" in each) == list(range(50 + ("more" in end)))
    hooks = [each["hook"] for each in points if "hook" in each]
    assert sorted(hooks) == list(range(len(calls("metrics")) + len(calls("end"))))
    lines = [record for record in records if isinstance(record, LogLine) and record.message == "from the hook"]
    assert len(lines) == len(calls("metrics"))
    delivered = [step for call in calls("metrics") for step in call["steps"]]
    assert sorted(delivered) == list(range(50 + ("more" in end)))
