"""The MLflow plugin against real servers, hook by hook: the values that arrive, and their names."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from tests.mlflow.proxy import Proxy

from refunc.plugins import (
    Artifact,
    LogLine,
    Metrics,
    Params,
    Reject,
    RunEnd,
)
from refunc.plugins.testing import IntegrationContract, Stored, deliver, opened, sample_records, sample_run
from refunc.runs import open_store
from refunc_mlflow import MLflowIntegration
from refunc_mlflow.lines import lines_of
from refunc_mlflow.names import LONGEST_KEY, key_of

pytestmark = [pytest.mark.trackers, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]

Points = Callable[..., list[Metrics]]


class TestContract(IntegrationContract):
    time_limit: ClassVar[float] = 90.0

    @pytest.fixture
    def integration(self, proxy: Proxy, name: str) -> MLflowIntegration:
        return MLflowIntegration(tracking_uri=proxy.uri, experiment_name=name)

    @pytest.fixture
    def stored(self, lone_server: Any, name: str) -> Callable[[str], Stored]:
        """Return the data that the server itself has of a run."""

        def of(run_id: str) -> Stored:
            tagged = {texts(each["data"]["tags"])["refunc.run_id"]: each for each in lone_server.runs(name)}
            info, data = tagged[run_id]["info"], tagged[run_id]["data"]
            points = [
                (metric["key"], int(row["step"]), row["value"])
                for metric in data.get("metrics", [])
                for row in lone_server.history(info["run_id"], metric["key"])
            ]
            return Stored(
                metrics=sorted(points, key=lambda point: (point[0], point[1])),  # a page of history has no order
                params=texts(data.get("params", [])),
                tags=texts(data["tags"]),
                status=info["status"],
            )

        return of

    @pytest.fixture
    def failing(self, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
        @contextlib.contextmanager
        def fail(how: str) -> Iterator[None]:
            with monkeypatch.context() as patch:
                if how == "slow":
                    patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")  # of the plugin's own, thirty
                proxy.fail({"off": "reset", "slow": "stall"}.get(how, how))
                yield
            proxy.fail("pass")

        return fail


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
    assert [file["path"] for file in files] == ["refunc-params.json"]


def test_two_params_of_one_name_both_arrive(lone_server: Any, name: str, run: Any) -> None:
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        hooks.on_hyperparams(run=run, record=Params(params={"a": {"b": 2}, "a.b": 1, "a.b_2": 3}, time=1.7e9))

    data = lone_server.runs(name)[0]["data"]
    assert texts(data["params"]) == {"a.b": "1", "a.b_2": "3", "a.b_3": "2"}
    assert texts(data["tags"])["refunc.name.a.b_3"] == "a.b"


def test_keys_are_valid_and_never_meet() -> None:
    names = ["a@b", "a_b", key_of("a@b"), "/a", "a/", "//", "..", ".", "", "x" * 251, "x" * 252, "a/../b", "train/loss"]
    keys = [key_of(name) for name in names]

    assert len(set(keys)) == len(names)
    assert max(map(len, keys)) <= LONGEST_KEY
    assert key_of("train/loss") == "train/loss"


@pytest.mark.parametrize(
    ("place", "step", "beside"),
    [
        ({"step": 3.0}, 3, []),
        ({"step": 5, "epoch": 0.3125}, 5, []),
        ({"step": 2.75, "epoch": 2.75}, 2, []),  # an epoch by itself, as it is delivered
        ({"step": -0.5, "epoch": -0.5}, -1, []),
        ({"step": 1.5}, 41, [1.5]),
        ({"step": 1.5, "epoch": 1}, 41, [1.5]),
    ],
)
def test_a_fraction_is_a_whole_step_with_the_number_beside_it(
    place: dict[str, Any], step: int, beside: list[float], lone_server: Any, name: str, run: Any
) -> None:
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        hooks.on_metrics(run=run, records=[Metrics(metrics={"a": 1.0}, time=1.7e9, seq=41, **place)])

    run_id = lone_server.runs(name)[0]["info"]["run_id"]
    found = {
        key: [(point["value"], int(point["step"])) for point in lone_server.history(run_id, key)]
        for key in ("a", "step")
    }
    assert found == {"a": [(1.0, step)], "step": [(number, step) for number in beside]}


@pytest.mark.parametrize("step", [float("nan"), float("inf"), 2**63, -(2**63) - 1])
def test_a_step_that_mlflow_would_turn_into_zero_is_refused(step: float, lone_server: Any, name: str, run: Any) -> None:
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks, pytest.raises(Reject):
        hooks.on_metrics(run=run, records=[Metrics(metrics={"a": 1}, step=step, time=1.7e9)])


@pytest.mark.parametrize(
    ("status", "theirs"),
    [
        ("completed", "FINISHED"),
        ("failed", "FAILED"),
        ("interrupted", "KILLED"),
        ("pruned", "KILLED"),
        ("exited", "FINISHED"),
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


def test_lines_errors_and_what_is_said_of_artifacts_and_results_arrive(
    lone_server: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refunc.logging import MLLogger, experiment_context

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("refunc_mlflow.lines.MAX_TEXT", 2_000)
    (tmp_path / "model.bin").write_text("weights")
    logger = MLLogger("train", "INFO")
    with experiment_context("digits", "with lines", logger=logger) as context:
        for number in range(100):
            logger.info("line %d", number, step=number)
        logger.error("disk %s", "full")
        logger.log_artifact("model.bin", "model", metadata={"layers": 3})
        logger.log_result("test", {"acc": 0.9}, metadata={"images": 1000})
    records = list(open_store()[context.run_id].records())
    run = sample_run(tmp_path / "sample")
    run = attrs.evolve(run, run_id=context.run_id, folder=context.folder)
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        hooks.on_log(run=run, records=[record for record in records if isinstance(record, LogLine)])
        hooks.on_artifact(run=run, record=next(record for record in records if isinstance(record, Artifact)))
        hooks.on_run_end(run=run, record=RunEnd(status="completed", duration=1.0))

    found = lone_server.runs(name)[0]
    tags = texts(found["data"]["tags"])
    assert tags["refunc.last_error"] == "disk full"
    assert tags["refunc.errors"] == "1"
    assert tags["refunc.artifact_type.model.bin"] == "model"
    assert tags["refunc.artifact_metadata.model.bin"] == '{"layers": 3}'
    assert tags["refunc.result_metadata.test"] == '{"images": 1000}'
    lines = lines_of(run).text.splitlines()
    assert re.fullmatch(r"… \d+ earlier lines are only in the run …", lines[0])
    assert lines[-2].endswith(" ERROR      train  disk full")
    assert len(lines_of(run).text) < 2_100
    files = lone_server.ask("artifacts/list", run_id=found["info"]["run_id"])["files"]
    assert {file["path"]: int(file["file_size"]) for file in files}["refunc-log.txt"] == len(
        lines_of(run).text.encode()
    )


def test_a_store_that_takes_no_files_keeps_no_run_from_ending(lone_server: Any, name: str, tmp_path: Path) -> None:
    from refunc.logging import MLLogger, experiment_context

    with experiment_context("digits", "r", logger=MLLogger("train")) as context:
        MLLogger("train").info("x")
    run = attrs.evolve(sample_run(tmp_path / "sample"), run_id=context.run_id, folder=context.folder)
    integration = MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)
    with opened(integration) as hooks:
        integration._client.log_text = lambda *_: 1 / 0
        hooks.on_run_end(run=run, record=RunEnd(status="completed", duration=1.0))

    found = lone_server.runs(name)[0]
    assert found["info"]["status"] == "FINISHED"
    assert texts(found["data"]["tags"])["refunc.log_not_sent"] == "division by zero"


def test_a_folder_arrives_with_its_folders(lone_server: Any, name: str, run: Any) -> None:
    from collections import deque

    from refunc.logging.artifacts.storing import Artifacts

    source = run.folder.parent / "plots"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("a")
    (source / "deep" / "b.txt").write_text("b")
    fields = Artifacts(run.folder, run.run_id, deque()).store(source, copy=None)
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
