"""An integration that logs in its own hook, behind the end of its run: what it says is kept, and comes to an end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import LogLine, Metrics
from refunc.runs.store import open_store

_CHATTY = """
import itertools
from probes import *
from refunc.logging import MLLogger
log = MLLogger("train", "ERROR")
log.handlers[0].setLevel(100)  # no console
numbers = itertools.count()

class ChattyIntegration(ProbeIntegration):
    @hookimpl
    def on_metrics(self, run, records):
        self.note("metrics", steps=[r.step for r in records if "main" in r.metrics])
        log.log_metrics({"hook": next(numbers)})
        log.error("from the hook")
    @hookimpl
    def on_run_end(self, run, record):
        self.note("end", run=run.run_name)
        log.log_metrics({"hook": next(numbers)})
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
    own_folder: Path,
    probes: Any,
    calls: Callable[..., list[dict[str, Any]]],
) -> None:
    (own_folder / "chatty.py").write_text(_CHATTY)
    code = "from chatty import ChattyIntegration, log\nlog.add_integration(ChattyIntegration())\n" + _ENDS[end]
    code += "print(time.monotonic(), flush=True)"
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
