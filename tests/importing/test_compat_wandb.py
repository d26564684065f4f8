"""One script on W&B's own client and on `refunc.compat.wandb`: the same history, summary, config, tags and ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import Metrics
from refunc.runs import Run, open_store

pytestmark = pytest.mark.trackers

#: The answers of each module are written to the file that the command names, so that they are compared too.
SCRIPT = """
import argparse, json, sys
import {module} as wandb
said = []
run = wandb.init(project="digits", name="first", tags=["a", "b"], group="grp", job_type="train", notes="why",
    config={{"lr": 0.1, "optimizer": {{"name": "adam", "betas": [0.9, 0.999]}}}})
assert wandb.run is run and wandb.init(project="other") is run
run.define_metric("acc", summary="max")
run.define_metric("val/*", summary="min,mean")
run.define_metric("noise", summary="none")
run.define_metric("gs/*", step_metric="gs/step")
for step in range(4):
    run.log({{"loss": 1 / (step + 1), "acc": [0.1, 0.9, 0.3, 0.2][step], "noise": step}}, commit=step % 2 == 0)
    run.log({{"nested": {{"x": step, "deep": {{"y": step}}}}, "text": "hello"}})
    said.append(run.step)
for step in (20, 20, 21, 30):
    run.log({{f"val/{{step}}{{len(said)}}": step, "nan": float("nan")}}, step=step)
    said.append(run.step)
run.log({{"after": 1}})
said.append(run.step)
run.log({{"committed": 1}}, step=40, commit=True)
run.log({{"held": 1}}, step=50, commit=False)
run.log({{"held": 2, "with": True}})
said.append(run.step)
run.summary["best"] = 0.5
run.summary.update({{"outer": {{"inner": 2}}}})
run.config.update({{"late": 1}})
run.config.update(argparse.Namespace(seed=7))
try:
    run.config.lr = 5
except Exception as error:
    said.append(type(error).__name__)
run.config.update({{"lr": 5}}, allow_val_change=True)
said.append([run.project, run.group, run.job_type, list(run.tags), run.notes, run.resumed])
said.append(dict(run.config))
summary = run.summary
said.append([summary["acc"]["max"], summary["nested"]["deep"]["y"], summary["best"], summary.get("gone", 3)])
said.append(sorted(name for name in summary.keys() if not name.startswith("_")))
said.append("noise" in summary.keys())
run.finish()
said.append(wandb.run is None)
with wandb.init(project="digits", name="second") as run:
    run.log({{"loss": 3}})
run = wandb.init(project="digits", name="third")
run.finish(exit_code=3)
json.dump(said, open(sys.argv[1], "w"))
"""


def run_on(module: str, folder: Path) -> Any:
    """Run the script on *module*, and return its answers."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(module=module), "said.json"],
        cwd=folder,
        env={**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_CONSOLE": "off"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "said.json").read_text())


def rows(run: Run) -> dict[str, dict[Any, Any]]:
    """Return the values of each name by step, NaN as text: a row may be one record, or several."""
    found: dict[str, dict[Any, Any]] = {}
    for record in run.records():
        if isinstance(record, Metrics) and record.step is not None:
            for name, value in {**record.metrics, **record.other}.items():
                found.setdefault(name, {})[record.step] = str(value) if value != value else value
    return found


def test_both_give_the_same_runs_and_the_same_answers(
    own_folder: Path, imported: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    answers = [run_on(module, own_folder / module) for module in ("wandb", "refunc.compat.wandb")]
    assert answers[0] == answers[1]
    monkeypatch.setenv("REFUNC_DIR", str(own_folder / "imported"))
    result = imported(own_folder / "wandb" / "wandb")
    assert result.exit_code == 0, result.stderr

    theirs, ours = (
        sorted(open_store(path), key=lambda run: run.run_name)
        for path in ("imported", own_folder / "refunc.compat.wandb" / "experiments")
    )
    assert len(theirs) == len(ours) == 3
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.run_name, mine.experiment_name, mine.status) == (
            other.run_name, other.experiment_name, other.status
        )  # fmt: skip
        assert (mine.params, mine.tags, rows(mine)) == (other.params, other.tags, rows(other))
        assert mine.results == {name: value for name, value in other.results.items() if name != "_wandb"}
        metrics, others = mine.summary.metrics, other.summary.metrics
        assert [(name, metrics[name].summary) for name in sorted(metrics)] == [
            (name, others[name].summary) for name in sorted(others) if not name.startswith("system/")
        ]
