"""RefuncCallback of Hydra, in scripts as users start them: a run per job, multiruns, how jobs end, and lines."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn  # noqa: F401  # without Hydra, this file is skipped

from refunc.frameworks.hydra import RefuncCallback
from refunc.runs import open_store
from refunc.runs.run import Run

SCRIPT = """
import logging, sys
import hydra
from refunc.logging import MLLogger

log, logger = logging.getLogger("library"), MLLogger("script")

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    log.info("a line of a library")
    logger.info("a line of the script")
    logger.log_metrics({"loss": config.lr}, step=0)
    if config.end == "raise":
        raise ValueError("no")
    if config.end == "interrupt":
        raise KeyboardInterrupt
    if config.end == "exit":
        sys.exit(3)
    return config.lr

main()
"""

CONFIG = """
lr: 0.1
end: well
model: {hidden: 8, twice: "${.hidden}", data: "???", bad: "${nowhere}", folder: "${hydra:runtime.output_dir}"}
hydra:
  callbacks:
    refunc:
      _target_: refunc.frameworks.hydra.RefuncCallback
"""


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """Return a function that starts the script and returns the process and its runs, the oldest first."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/config.yaml").write_text(CONFIG)
    (tmp_path / "script.py").write_text(SCRIPT)

    def start(*arguments: str, **variables: str) -> tuple[Any, list[Run]]:
        done = subprocess.run(
            [sys.executable, "script.py", *arguments],
            cwd=tmp_path,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        store = Path(variables.get("REFUNC_DIR", "experiments"))
        return done, sorted(open_store(store).runs(), key=lambda run: run.start_time)

    return start


def test_a_job_is_a_run_with_its_config_and_its_lines(script: Any) -> None:
    done, (run,) = script("lr=0.2")

    assert (done.returncode, run.experiment_name, run.run_name, run.status) == (0, "script", "lr=0.2", "completed")
    assert (run.params["lr"], run.params["model"]["twice"]) == (0.2, 8)
    assert run.params["model"]["data"].startswith("<cannot be read: MissingMandatoryValue")
    assert run.params["model"]["bad"].startswith("<cannot be read: InterpolationKeyError")
    assert run.params["model"]["folder"] == run.tags["hydra.output_dir"]
    assert "hydra" not in run.params
    assert run.tags["hydra.overrides"] == "lr=0.2"
    assert run.results == {"return_value": 0.2}
    assert [(artifact.name, artifact.type) for artifact in run.artifacts] == [("hydra", "config")]
    messages = [entry.message for entry in run.entries()]
    assert (messages.count("a line of a library"), messages.count("a line of the script")) == (1, 1)
    # To one stream, each line is shown once, in Hydra's form.
    assert (done.stdout.count("a line of a library"), done.stdout.count("a line of the script")) == (1, 1)


def test_the_jobs_of_a_multirun_are_children_in_one_store_whatever_their_folder(script: Any) -> None:
    _, (parent, *jobs) = script("-m", "lr=0.1,0.2", "hydra.job.chdir=true", REFUNC_DIR="mine")

    assert (parent.run_name, parent.status, parent.tags) == ("multirun", "completed", {"hydra.overrides": "lr=0.1,0.2"})
    assert [(job.run_name, job.parent_id, job.status) for job in jobs] == [
        ("lr=0.1", parent.run_id, "completed"),
        ("lr=0.2", parent.run_id, "completed"),
    ]
    assert list(parent.metrics("return_value").values) == [0.1, 0.2]
    assert not Path("experiments").exists()


@pytest.mark.parametrize(("end", "status"), [("raise", "failed"), ("interrupt", "interrupted"), ("exit", "failed")])
def test_a_run_ends_as_its_job_does(script: Any, end: str, status: str) -> None:
    done, (run,) = script(f"end={end}")

    assert done.returncode != 0
    assert run.status == status


def test_one_job_of_a_multirun_that_fails(script: Any) -> None:
    _, runs = script("-m", "end=raise,well")

    assert [run.status for run in runs] == ["failed", "failed", "completed"]


def test_a_launcher_may_send_the_callback_to_other_processes() -> None:
    callback = RefuncCallback("study")
    callback._parent_id = "k3f9a2b7"

    assert pickle.loads(pickle.dumps(callback))._parent_id == "k3f9a2b7"
