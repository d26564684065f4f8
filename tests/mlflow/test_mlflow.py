"""The MLflow plugin against real servers, hook by hook, and what it refuses before it is ever used."""

from __future__ import annotations

import http.server
import importlib.util
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import refunc_mlflow
from refunc.plugins import (
    Artifact,
    ConfigurationError,
    Metrics,
    NotConfigured,
    Params,
    Pause,
    Reject,
    Retry,
    RunEnd,
    Tags,
)
from refunc.plugins.testing import IntegrationContract, deliver, opened, sample_records, sample_run
from refunc_mlflow import MLflowIntegration
from refunc_mlflow.limits import MAX_KEY, key_of

pytestmark = [pytest.mark.trackers, pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]


class TestContract(IntegrationContract):
    @pytest.fixture
    def integration(self, lone_server: Any) -> MLflowIntegration:
        return MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=f"contract {time.time_ns()}")


@pytest.fixture
def name() -> str:
    return f"experiment-{time.time_ns()}"


@pytest.fixture
def run(tmp_path: Path) -> Any:
    return sample_run(tmp_path / "run", run_id=f"r{time.time_ns() % 10**10}")


def texts(pairs: list[Any]) -> dict[str, str]:
    """Return MLflow's list of keys and values as a dict."""
    return {pair["key"]: pair["value"] for pair in pairs}


def points(*values: float, key: str = "loss", step: int | None = 0) -> list[Metrics]:
    moment = 1_700_000_000.0
    return [
        Metrics(metrics={key: value}, step=step, time=moment + n / 1000, writer="w", seq=n)
        for n, value in enumerate(values)
    ]


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


def test_the_same_records_again_are_the_same_rows(server: Any, name: str, run: Any) -> None:
    records = points(*(n / 7 for n in range(1500)))
    with opened(MLflowIntegration(tracking_uri=server.uri, experiment_name=name)) as hooks:
        for _ in range(2):
            hooks.on_metrics(run=run, records=records)

    [found] = server.runs(name)
    assert len(server.history(found["info"]["run_id"], "loss")) == 1500


def test_after_a_restart_the_run_is_found_and_its_parent_too(server: Any, name: str, run: Any) -> None:
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
def test_every_end_has_its_status(status: str, theirs: str, lone_server: Any, name: str, run: Any) -> None:
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


def test_an_existing_run_can_be_gone_on_with(lone_server: Any, name: str, run: Any) -> None:
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        hooks.on_metrics(run=run, records=points(1.0))
    run_id = lone_server.runs(name)[0]["info"]["run_id"]
    another = attrs.evolve(run, run_id="another")

    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name, run_id=run_id)) as hooks:
        hooks.on_metrics(run=another, records=points(2.0, step=5))

    assert [row["value"] for row in lone_server.history(run_id, "loss")] == [1.0, 2.0]
    assert len(lone_server.runs(name)) == 1


def test_a_deleted_experiment_pauses_until_it_is_restored(lone_server: Any, name: str, run: Any) -> None:
    made = lone_server.post("experiments/create", name=name)["experiment_id"]
    lone_server.post("experiments/delete", experiment_id=made)
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        with pytest.raises(Pause, match="Restore it in MLflow"):
            hooks.on_metrics(run=run, records=points(0.5))
        lone_server.post("experiments/restore", experiment_id=made)
        hooks.on_metrics(run=run, records=points(0.5))

    [found] = lone_server.runs(name)
    assert len(lone_server.history(found["info"]["run_id"], "loss")) == 1


def test_a_run_id_that_there_is_not_pauses(lone_server: Any, run: Any) -> None:
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, run_id="f" * 32)) as hooks:
        for _ in range(2):
            with pytest.raises(Pause, match=r"f{32}"):
                hooks.on_metrics(run=run, records=points(0.5))


def test_a_server_that_is_not_there_is_told_quickly(parts: Any, run: Any, tools: Any) -> None:
    with opened(MLflowIntegration(tracking_uri=f"http://127.0.0.1:{tools.free_port()}")) as hooks:
        began = time.monotonic()
        with pytest.raises(Retry):
            hooks.on_run_start(run=run)
        assert time.monotonic() - began < 3


@pytest.fixture(scope="module")
def guarded_server(servers: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Start a server with MLflow's own basic authentication, and one user."""
    folder = tmp_path_factory.mktemp("auth")
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\n"
        "admin_username = ada\nadmin_password = correct-horse-battery\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    server = servers(
        None,
        "--app-name",
        "basic-auth",
        MLFLOW_AUTH_CONFIG_PATH=str(folder / "auth.ini"),
        MLFLOW_FLASK_SERVER_SECRET_KEY="a key of this test",
    )
    server.credentials = "ada:correct-horse-battery"
    return server


def test_with_wrong_credentials_delivery_pauses_and_with_right_ones_everything_arrives(
    require: Callable[[bool, str], None],
    parts: Any,
    request: pytest.FixtureRequest,
    own_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By MLflow's own variables, in which `refunc sync` finds them as well."""
    require(importlib.util.find_spec("flask_wtf") is not None, "pip install 'mlflow[auth]'")
    server = request.getfixturevalue("guarded_server")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2-wrong")
    (own_folder / "train.py").write_text(f"""
import time
from refunc.logging import MLflowIntegration, MLLogger, experiment_context
log = MLLogger("train", "CRITICAL")
log.add_integration(MLflowIntegration(tracking_uri={server.uri!r}))
with experiment_context("guarded", "run"):
    log.log_metrics({{"loss": 0.5}}, step=1)
    end = time.monotonic() + 60
    while log.health()["mlflow"].state != "paused" and time.monotonic() < end:
        time.sleep(0.05)
    print(log.health()["mlflow"])
""")
    trained = subprocess.run([sys.executable, "train.py"], capture_output=True, text=True, timeout=120)
    assert trained.returncode == 0, trained.stderr
    assert "state='paused'" in trained.stdout
    assert "401" in trained.stdout
    assert "MLFLOW_TRACKING_USERNAME" in trained.stdout
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse-battery")

    synced = subprocess.run(
        [sys.executable, "-m", "refunc", "sync", "--patience", "60"], capture_output=True, text=True, timeout=120
    )

    assert synced.returncode == 0, synced.stdout + synced.stderr
    [found] = server.runs("guarded")
    assert found["info"]["status"] == "FINISHED"
    assert [row["value"] for row in server.history(found["info"]["run_id"], "loss")] == [0.5]
    written = [path for path in own_folder.rglob("*") if path.is_file() and path.name != "train.py"]
    assert not [path for path in written if b"hunter2" in path.read_bytes() or b"horse" in path.read_bytes()]


@pytest.fixture
def answers(parts: Any) -> Iterator[Callable[[int, bytes], str]]:
    """Start a stand-in that gives every request one answer: failures that a healthy server cannot be made to have."""
    started: list[http.server.ThreadingHTTPServer] = []

    def start(code: int, body: bytes) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, Pause),
        (403, Pause),
        (400, Reject),
        (404, Reject),
        (413, Reject),
        (408, Retry),
        (429, Retry),
        (500, Retry),
        (503, Retry),
    ],
)
def test_what_an_answer_means(code: int, kind: type, answers: Callable[[int, bytes], str], run: Any) -> None:
    made = MLflowIntegration(tracking_uri=answers(code, b"no"))
    with opened(made) as hooks:
        made._runs[run.run_id] = "r"  # a run that was made while the server was well
        with pytest.raises(kind):
            hooks.on_metrics(run=run, records=points(1.0))


@pytest.mark.parametrize("value", ["http://", "https://:80", "http://host:99999", ""])
def test_a_malformed_address_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow: tracking_uri is .*Expected: http://host"):
        MLflowIntegration(tracking_uri=value)


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow: tracking_uri is 5\. Expected: text or None\."):
        MLflowIntegration(tracking_uri=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("uri", [None, "sqlite:///local.db"])
def test_without_the_full_package_a_local_store_is_not_configured(
    uri: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refunc_mlflow, "_has_stores", lambda: False)

    with pytest.raises(NotConfigured, match=r"MLFLOW_TRACKING_URI, or: pip install mlflow"):
        MLflowIntegration(tracking_uri=uri)
    MLflowIntegration(tracking_uri="http://localhost:5000")


def test_a_local_store_is_used_where_the_full_package_is(parts: Any, name: str, run: Any, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/local.db"
    with opened(MLflowIntegration(tracking_uri=uri, experiment_name=name)) as hooks:
        deliver(hooks, run, sample_records()[:3])

    import mlflow

    found = mlflow.MlflowClient(uri).search_runs([mlflow.MlflowClient(uri).get_experiment_by_name(name).experiment_id])
    assert [each.data.params["lr"] for each in found] == ["0.01"]
    assert not math.isinf(found[0].data.metrics["val/acc"])


def test_the_target_of_a_local_store_is_its_address(parts: Any) -> None:
    assert MLflowIntegration(tracking_uri="sqlite:///runs.db").target == "mlflow sqlite:///runs.db"


def test_a_password_in_the_address_does_not_show() -> None:
    made = MLflowIntegration(tracking_uri="http://user:hunter2@host:5000")

    assert made.target == "mlflow http://***@host:5000"


def test_importing_the_plugin_imports_no_mlflow() -> None:
    code = (
        "import sys, refunc_mlflow as p; p.MLflowIntegration(tracking_uri='http://h'); print('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout == "False\n", done.stderr
