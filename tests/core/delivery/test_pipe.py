"""The pipe to the delivery process: it says that the training is gone, also where another process holds it open."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

# A child that is forked between the pipe's making and its registration knows of no pipe that it could close.
_FORKED_INSIDE = """
pipe, children = os.pipe, []
def forking():
    ends = pipe()
    if not children:
        children.append(os.fork())
        if not children[0]:
            threading.Event().wait(300); os._exit(0)
    return ends
os.pipe = forking
log.add_integration(ProbeIntegration())
log.start_experiment("exp", "forked")
for step in range(100): log.log_metrics({"loss": 1.0}, step=step)
log.flush()
print(children[0], flush=True)
"""


@pytest.mark.parametrize(("end", "status"), [("", "completed"), ("os.kill(os.getpid(), 9)", "crashed")])
def test_a_child_that_holds_the_pipe_does_not_hold_the_delivery_process(
    end: str,
    status: str,
    script: Callable[..., subprocess.Popen[str]],
    calls: Callable[..., list[dict[str, Any]]],
    own_folder: Path,
    tools: Any,
) -> None:
    training = script(_FORKED_INSIDE + end)
    assert training.stdout is not None
    child = int(training.stdout.readline())
    try:
        training.wait(60)  # not for its output, which the child has open too
        tools.until(lambda: calls("end"))
        tools.until(lambda: not tools.delivery_pids(own_folder))
        os.kill(child, 0)  # it is there still
    finally:
        os.kill(child, 9)

    assert calls("end")[0]["status"] == status
    assert [step for call in calls("metrics") for step in call["steps"]] == list(range(100))
