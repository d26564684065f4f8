"""The MLflow plugin against real servers, hook by hook: what arrives, and under which names."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from refunc.plugins import (
    Artifact,
    Metrics,
    Params,
    Reject,
    RunEnd,
    Tags,
)
from refunc.plugins.testing import IntegrationContract, deliver, opened, sample_records
from refunc_mlflow import MLflowIntegration
from refunc_mlflow.limits import MAX_KEY, key_of

pytestmark = [pytest.mark.trackers, pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]

Points = Callable[..., list[Metrics]]


class TestContract(IntegrationContract):
    @pytest.fixture
    def integration(self, lone_server: Any) -> MLflowIntegration:
        return MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=f"contract {time.time_ns()}")


def texts(pairs: list[Any]) -> dict[str, str]:
    """Return MLflow's list of keys and values as a dict."""
    return {pair["key"]: pair["value"] for pair in pairs}


def test_a_run_arrives_whole(server: Any, name: str, run: Any) -> None:
    with opened(MLflowIntegration(tracking_uri=server.uri, experiment_name=name)) as hooks:
        deliver(hooks, run, sample_records(4))

    [found] = server.runs(name)
    info, data = found["info"], found["data"]
    assert (info["run_name"], info["status"]) == ("baseline", "FINISHED")
    assert int(info["start_time"]) == int(run.start_time * 1000)
    assert int(info["end_time"]) == int((run.start_time + 12.5) * 1000)
    assert texts(data["params"]) == {"lr": "0.01", "optimizer.name": "adam"}
    assert texts(data["tags"])["dataset"] == "mnist"
    loss = server.history(info["run_id"], "loss")
    assert sorted((str(row["value"]), int(row["step"])) for row in loss) == sorted(
        [("0.5", 0), ("NaN", 1), ("1.7976931348623157e+308", 0), ("0.25", 3)]
    )
    assert [row["value"] for row in server.history(info["run_id"], "val/acc")] == [0.0, 0.25, 0.5, 0.75]
    files = server.ask("artifacts/list", run_id=info["run_id"])["files"]
    assert [(file["path"], int(file["file_size"])) for file in files] == [("model.txt", 7)]


def test_the_same_records_again_are_the_same_rows(server: Any, name: str, run: Any, points: Points) -> None:
    records = points(*(n / 7 for n in range(1500)))
    with opened(MLflowIntegration(tracking_uri=server.uri, experiment_name=name)) as hooks:
        for _ in range(2):
            hooks.on_metrics(run=run, records=records)

    [found] = server.runs(name)
    assert len(server.history(found["info"]["run_id"], "loss")) == 1500


def test_after_a_restart_the_run_is_found_and_its_parent_too(server: Any, name: str, run: Any, points: Points) -> None:
    for step in range(3):
        with opened(MLflowIntegration(tracking_uri=server.uri, experiment_name=name)) as hooks:
            hooks.on_metrics(run=run, records=points(float(step), step=step))
    child = attrs.evolve(run, run_id=f"{run.run_id}c", run_name="child", parent_id=run.run_id)
    with opened(MLflowIntegration(tracking_uri=server.uri, experiment_name=name)) as hooks:
        hooks.on_run_start(run=child)

    runs = {found["info"]["run_name"]: found for found in server.runs(name)}
    assert runs.keys() == {"baseline", "child"}
    parent = runs["baseline"]["info"]["run_id"]
    assert len(server.history(parent, "loss")) == 3
    assert texts(runs["child"]["data"]["tags"])["mlflow.parentRunId"] == parent


def test_a_changed_param_is_reported_and_stops_nothing(server: Any, name: str, run: Any) -> None:
    with opened(MLflowIntegration(tracking_uri=server.uri, experiment_name=name)) as hooks:
        hooks.on_hyperparams(run=run, record=Params(params={"lr": 0.1, "same": 1}))
        hooks.on_hyperparams(run=run, record=Params(params={"lr": 0.2, "same": 1, "new": 2}))

    data = server.runs(name)[0]["data"]
    assert texts(data["params"]) == {"lr": "0.1", "same": "1", "new": "2"}
    assert texts(data["tags"])["refunc.param_conflict.lr"] == "0.2"


def test_a_long_param_is_cut_and_kept_whole_beside(lone_server: Any, name: str, run: Any) -> None:
    run = attrs.evolve(run, params={"prompt": "x" * 10_000, **{f"p{n}": n for n in range(250)}})
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        hooks.on_hyperparams(run=run, record=Params(params=dict(run.params)))

    found = lone_server.runs(name)[0]
    params = texts(found["data"]["params"])
    assert len(params) == 251
    assert params["prompt"] == "x" * 5_999 + "…"
    files = lone_server.ask("artifacts/list", run_id=found["info"]["run_id"])["files"]
    assert [file["path"] for file in files] == ["params.json"]


def test_names_that_mlflow_refuses_arrive_under_others(lone_server: Any, name: str, run: Any) -> None:
    names = ["a@b", "/lead", "trail/", "a//b", "../up", "%", "λ ok", "x" * 300, "", "a(b)=c\n"]
    record = Metrics(metrics={key: float(n) for n, key in enumerate(names)}, step=1, time=1.7e9, writer="w", seq=1)
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        hooks.on_metrics(run=run, records=[record])
        hooks.on_hyperparams(run=run, record=Params(params={"a@b": 1}))
        hooks.on_tags(run=run, record=Tags(tags={"a@b": "tag", "long": "y" * 9_000}))

    data = lone_server.runs(name)[0]["data"]
    assert {metric["key"]: metric["value"] for metric in data["metrics"]} == {
        key_of(key): float(n) for n, key in enumerate(names)
    }
    tags = texts(data["tags"])
    assert tags["refunc.metric_name.a_40_b"] == "a@b"
    assert tags["a_40_b"] == "tag"
    assert tags["λ ok"] == "" if "λ ok" in tags else True


def test_keys_are_valid_and_never_meet() -> None:
    names = ["a@b", "a_40_b ", "/a", "a/", "//", "..", ".", "", "x" * 251, "x" * 252, "a/../b", "train/loss"]
    keys = [key_of(name) for name in names]

    assert len(set(keys)) == len(names)
    assert max(map(len, keys)) <= MAX_KEY
    assert key_of("train/loss") == "train/loss"


@pytest.mark.parametrize("step", [1.5, 2**63, -(2**63) - 1])
def test_a_step_that_mlflow_would_turn_into_zero_is_refused(step: float, lone_server: Any, name: str, run: Any) -> None:
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks, pytest.raises(Reject):
        hooks.on_metrics(run=run, records=[Metrics(metrics={"a": 1}, step=step, time=1.7e9)])


@pytest.mark.parametrize(
    ("status", "theirs"),
    [
        ("completed", "FINISHED"),
        ("failed", "FAILED"),
        ("interrupted", "KILLED"),
        ("crashed", "KILLED"),
        ("my own", "FINISHED"),
    ],
)
def test_every_end_has_its_status(
    status: str, theirs: str, lone_server: Any, name: str, run: Any, points: Points
) -> None:
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        hooks.on_run_end(run=run, record=RunEnd(status=status, duration=1.0, error="Traceback", dropped=2))
        hooks.on_metrics(run=run, records=points(1.0))  # a child may be late

    found = lone_server.runs(name)[0]
    tags = texts(found["data"]["tags"])
    assert found["info"]["status"] == theirs
    assert (tags["refunc.status"], tags["refunc.error"], tags["refunc.records_dropped"]) == (status, "Traceback", "2")


def test_a_folder_arrives_with_its_folders(lone_server: Any, name: str, run: Any) -> None:
    from collections import deque

    from refunc.logging.artifacts import Artifacts

    source = run.folder.parent / "plots"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("a")
    (source / "deep" / "b.txt").write_text("b")
    fields = Artifacts(run.folder, deque()).store(source, copy=None)
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        hooks.on_artifact(run=run, record=Artifact(name="plots", **fields))

    run_id = lone_server.runs(name)[0]["info"]["run_id"]
    inside = lone_server.ask("artifacts/list", run_id=run_id, path="plots")["files"]
    assert [(file["path"], file["is_dir"]) for file in inside] == [("plots/a.txt", False), ("plots/deep", True)]


def test_an_existing_run_can_be_gone_on_with(lone_server: Any, name: str, run: Any, points: Points) -> None:
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        hooks.on_metrics(run=run, records=points(1.0))
    run_id = lone_server.runs(name)[0]["info"]["run_id"]
    another = attrs.evolve(run, run_id="another")

    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name, run_id=run_id)) as hooks:
        hooks.on_metrics(run=another, records=points(2.0, step=5))

    assert [row["value"] for row in lone_server.history(run_id, "loss")] == [1.0, 2.0]
    assert len(lone_server.runs(name)) == 1
