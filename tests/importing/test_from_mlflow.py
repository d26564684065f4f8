"""Runs that MLflow itself has written, in a file of SQLite and in a folder `mlruns`."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import Metrics
from refunc.runs import open_store

pytestmark = pytest.mark.trackers

HOSTILE = "=cmd|' /C calc'!A0 <script>\x1b[31m"

#: Trains with MLflow's own client, and prints the values that it reads back: the truth that an import is compared with.
TRAINING = """
import json, sys
import mlflow
from mlflow import MlflowClient
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("digits <b>")
with mlflow.start_run(run_name=HOSTILE):
    mlflow.log_params({"lr": 0.1, "id": "007", "epochs": 5, "amp": True, "seed": None, "path": "x" * 5_000})
    mlflow.set_tags({"team": "vision <i>", "note": "two\\nlines"})
    for step in range(40):
        mlflow.log_metrics({"loss": 1 / (step + 1), "val/acc": step}, step=step)
    for value in (0.5, float("nan"), float("inf"), float("-inf")):
        mlflow.log_metric("odd", value, step=7)
    mlflow.log_text("hello", "reports/a.txt")
    with mlflow.start_run(nested=True, run_name="child"):
        mlflow.log_metric("x", 1.0)
try:
    with mlflow.start_run(run_name="failed"):
        raise ZeroDivisionError
except ZeroDivisionError:
    pass
with mlflow.start_run(run_name="deleted") as deleted:
    mlflow.log_metric("x", 1.0)
client = MlflowClient()
client.delete_run(deleted.info.run_id)
killed = client.create_run(deleted.info.experiment_id, run_name="killed")
client.set_terminated(killed.info.run_id, "KILLED")
client.create_run(deleted.info.experiment_id, run_name="unfinished")
truth = {}
for run in client.search_runs([deleted.info.experiment_id]):
    points = {
        name: [[p.step, p.timestamp, repr(p.value)] for p in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }
    truth[run.info.run_name] = {"id": run.info.run_id, "params": run.data.params, "tags": run.data.tags,
        "points": points, "times": [run.info.start_time, run.info.end_time]}
print("TRUTH", json.dumps(truth))
"""


@pytest.fixture(scope="module", params=["sqlite", "mlruns"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the store that a training with MLflow left, and the values that MLflow reads in it."""
    pytest.importorskip("mlflow")
    folder = tmp_path_factory.mktemp(request.param)
    place = folder / ("mlflow.db" if request.param == "sqlite" else "mlruns")
    uri = f"sqlite:///{place}" if request.param == "sqlite" else place.as_uri()
    done = subprocess.run(
        [sys.executable, "-c", f"HOSTILE = {HOSTILE!r}\n{TRAINING}", uri],
        cwd=folder,
        env={**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("TRUTH ")]
    return place, json.loads(line.removeprefix("TRUTH "))


@pytest.fixture
def place(source: tuple[Path, dict[str, Any]], own_folder: Path) -> Path:
    """Return a copy of the source, elsewhere than where it was made."""
    shutil.copytree(source[0].parent, own_folder / "moved")
    return own_folder / "moved" / source[0].name


def test_all_that_mlflow_reads_is_in_the_runs(
    source: tuple[Path, dict[str, Any]], place: Path, imported: Callable[..., Any]
) -> None:
    truth = source[1]

    result = imported(place)

    assert (result.exit_code, result.said["is_whole"], result.said["deleted"]) == (0, True, 1)
    runs = {run.run_name: run for run in open_store()}
    assert runs.keys() == truth.keys() == {HOSTILE, "child", "failed", "killed", "unfinished"}
    for name, run in runs.items():
        mine, theirs = run.summary, truth[name]
        assert {key: str(value) for key, value in mine.params.items()} == theirs["params"]
        assert mine.tags == theirs["tags"]
        points: dict[str, list[Any]] = {}
        for record in run.records():
            if isinstance(record, Metrics):
                for metric, value in record.metrics.items():
                    points.setdefault(metric, []).append([record.step, round(record.time * 1_000), value])
        assert points.keys() == theirs["points"].keys()
        for metric, history in theirs["points"].items():
            # MLflow reads an infinity back as the largest float.
            known = [[step, time, text.replace("1.7976931348623157e+308", "inf")] for step, time, text in history]
            assert sorted(map(str, known)) == sorted(
                str([step, time, repr(float(v))]) for step, time, v in points[metric]
            )
        assert [run.start_time * 1_000, run.birth["imported"]["id"]] == [theirs["times"][0], theirs["id"]]
    read = result.said["read"]
    assert read["points"] == sum(len(history) for run in truth.values() for history in run["points"].values()) == 85
    assert read["params"] == sum(len(run["params"]) for run in truth.values())


def test_types_states_parents_and_artifacts(place: Path, imported: Callable[..., Any]) -> None:
    imported(place)
    runs = {run.run_name: run for run in open_store()}
    run = runs[HOSTILE]

    assert {name: runs[name].status for name in runs} == {
        HOSTILE: "completed",
        "child": "completed",
        "failed": "failed",
        "killed": "interrupted",
        "unfinished": "crashed",
    }
    assert run.experiment_name == "digits <b>"
    assert run.summary.params | {"path": ""} == {
        "lr": 0.1,
        "id": "007",
        "epochs": 5,
        "amp": True,
        "seed": None,
        "path": "",
    }
    assert runs["child"].parent_id == run.run_id
    odd = [record.metrics["odd"] for record in run.records() if isinstance(record, Metrics) and "odd" in record.metrics]
    assert {repr(value) for value in odd} == {"0.5", "nan", "inf", "-inf"}
    (artifact,) = run.summary.artifacts
    assert (artifact.name, (run.folder / artifact.stored).read_text()) == ("reports/a.txt", "hello")


def test_deleted_runs_come_where_they_are_asked_for(place: Path, imported: Callable[..., Any]) -> None:
    imported(place)

    result = imported(place, "--deleted")

    assert [run["run_name"] for run in result.said["imported"]] == ["deleted"]
    assert len(result.said["known"]) == 5


def test_a_damaged_source_costs_no_more_than_what_is_damaged(place: Path, imported: Callable[..., Any]) -> None:
    if place.is_file():
        with open(place, "r+b") as file:
            file.truncate(place.stat().st_size // 2)
        result = imported(place)
        assert result.exit_code == 2
        assert "cannot be read: database disk image is malformed" in result.stderr
        return
    metas = sorted(place.glob("*/*/meta.yaml"))
    metas[0].write_text("{")
    (loss,) = place.glob("*/*/metrics/loss")
    loss.write_text(loss.read_text() + "17000000 half")

    result = imported(place)

    assert result.exit_code == 1
    assert len(result.said["imported"]) + result.said["deleted"] == len(metas) - 1
    assert "meta.yaml cannot be read" in " ".join(result.said["problems"])
    told = [problem for run in result.said["imported"] for problem in run["problems"]]
    assert told in (["a line of a metric is damaged"], [])


def test_a_database_of_something_else_is_a_mistake(own_folder: Path, imported: Callable[..., Any]) -> None:
    with sqlite3.connect(own_folder / "other.db") as database:
        database.execute("CREATE TABLE runs (id)")
    database.close()

    result = imported("other.db")

    assert result.exit_code == 2
    assert "is not a database of MLflow: it has no table experiments, metrics, params, tags" in result.stderr


def test_nan_is_nan() -> None:
    from refunc_commands.importing.mlflow import param

    assert math.isnan(param("nan"))
    assert [param(text) for text in ("1", "1.0", "1e-3", "1e-05", " 1", "1_0", "٣")] == [
        1,
        1.0,
        "1e-3",
        1e-05,
        " 1",
        "1_0",
        "٣",
    ]
