"""Runs that W&B itself has written offline."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import LogLine, Metrics
from refunc.runs import open_store

pytestmark = pytest.mark.trackers

TRAINING = """
import wandb
run = wandb.init(project="digits", name="first <script>", mode="offline", tags=["a", "b"], group="grp", notes="why",
    config={"lr": 0.1, "optimizer": {"name": "adam", "betas": [0.9, 0.999]}})
for step in range(200):
    run.log({"loss": 1 / (step + 1), "nested": {"x": step}, "acc": float("nan") if step == 3 else 0.25})
run.log({"text": "hello", "histogram": wandb.Histogram([1, 2, 3])}, step=500)
run.summary["best"] = 0.5
run.config.update({"late": 1})
print("said aloud")
run.finish()
run = wandb.init(project="digits", name="second", mode="offline")
run.log({"loss": float("inf")})
run.finish(exit_code=3)
"""


@pytest.fixture
def offline(own_folder: Path) -> Path:
    pytest.importorskip("wandb")
    done = subprocess.run(
        [sys.executable, "-c", TRAINING], env={**os.environ, "WANDB_SILENT": "true"}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return own_folder / "wandb"


def test_a_run_comes_with_everything(offline: Path, imported: Callable[..., Any]) -> None:
    result = imported(offline)

    assert (result.exit_code, result.said["is_whole"]) == (0, True)
    run, failed = open_store()
    assert (run.run_name, run.experiment_name, run.status) == ("first <script>", "digits", "completed")
    summary = run.summary
    assert summary.params == {"lr": 0.1, "optimizer": {"name": "adam", "betas": [0.9, 0.999]}, "late": 1}
    assert summary.tags == {"group": "grp", "notes": "why", "a": "", "b": ""}
    assert (summary.metrics["loss"].count, summary.metrics["nested.x"].count, summary.last["best"]) == (200, 200, 0.5)
    records = [record for record in run.records() if isinstance(record, Metrics) and record.step is not None]
    assert [record.step for record in records] == [*range(200), 500]
    assert math.isnan(records[3].metrics["acc"] or 0)
    assert records[1].metrics["loss"] == 0.5
    assert records[-1].other["text"] == "hello"
    assert records[-1].other["histogram"]["_type"] == "histogram"
    assert all(abs(record.time - run.start_time) < 60 for record in records)
    assert "said aloud" in [record.message for record in run.records() if isinstance(record, LogLine)]
    assert {"output.log", "requirements.txt"} <= {artifact.name for artifact in summary.artifacts}
    assert (failed.status, failed.summary.last["loss"]) == ("failed", math.inf)
    assert len(imported(offline).said["known"]) == 2


def test_a_torn_file_gives_what_is_whole(offline: Path, imported: Callable[..., Any]) -> None:
    file = max(offline.glob("*run-*/*.wandb"), key=lambda path: path.stat().st_size)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])

    result = imported(file)

    assert (result.exit_code, result.said["is_whole"]) == (0, True)
    (run,) = result.said["imported"]
    assert run["problems"] == ["the file ends in the middle of a record"]
    assert 100 < run["wrote"]["points"] < 650
    (found,) = open_store()
    assert found.status == "crashed"
    assert run["read"] == run["wrote"]


def test_definitions_say_what_has_a_word_here() -> None:
    """A goal is in W&B's records, and in its servers' messages, but in no call of its client any more."""
    pb = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    from refunc_commands.importing.wandb import _definition
    from refunc_commands.importing.wire import Message

    def said(**fields: Any) -> list[tuple[Any, ...]]:
        message = Message(pb.MetricRecord(**fields).SerializeToString())
        return [(one.name, one.goal, one.step_metric, one.summary) for one in _definition(message, 1.0)]

    assert said(name="acc", goal=2, step_metric="_step") == [("acc", "max", None, None)]
    assert said(glob_name="val/*", goal=1, step_metric="epoch") == [("val/*", "min", "epoch", None)]
    assert said(name="noise", summary=pb.MetricSummary(none=True)) == [("noise", None, None, "none")]
    assert said(name="plain", step_metric="_step") == []
