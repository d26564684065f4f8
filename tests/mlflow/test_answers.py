"""Answers of an MLflow server, and the lack of one: each means to pause, to reject or to try again."""

from __future__ import annotations

import http.server
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.mlflow.proxy import Proxy

from refunc.plugins import (
    Metrics,
    Pause,
    Reject,
    Retry,
)
from refunc.plugins.testing import opened
from refunc_mlflow import MLflowIntegration

pytestmark = [pytest.mark.trackers, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]

Points = Callable[..., list[Metrics]]


def test_a_deleted_experiment_pauses_until_it_is_restored(
    lone_server: Any, name: str, run: Any, points: Points
) -> None:
    made = lone_server.post("experiments/create", name=name)["experiment_id"]
    lone_server.post("experiments/delete", experiment_id=made)
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, experiment_name=name)) as hooks:
        with pytest.raises(Pause, match="Restore it in MLflow"):
            hooks.on_metrics(run=run, records=points(0.5))
        lone_server.post("experiments/restore", experiment_id=made)
        hooks.on_metrics(run=run, records=points(0.5))

    [found] = lone_server.runs(name)
    assert len(lone_server.history(found["info"]["run_id"], "loss")) == 1


def test_a_run_id_that_there_is_not_pauses(lone_server: Any, run: Any, points: Points) -> None:
    with opened(MLflowIntegration(tracking_uri=lone_server.uri, run_id="f" * 32)) as hooks:
        for _ in range(2):
            with pytest.raises(Pause, match=r"f{32}"):
                hooks.on_metrics(run=run, records=points(0.5))


def test_a_server_that_is_not_there_is_told_at_the_first_request(
    proxy: Proxy, run: Any, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's client by itself would try for minutes."""
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    proxy.fail("reset")
    for uri in (proxy.uri, f"http://127.0.0.1:{tools.free_port()}"):
        with opened(MLflowIntegration(tracking_uri=uri)) as hooks, pytest.raises(Retry):
            hooks.on_run_start(run=run)

    assert proxy.failures == 1


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
    tools: Any,
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
    end = time.monotonic() + 100
    while log.health()["mlflow"].state != "paused" and time.monotonic() < end:
        time.sleep(0.05)
    print(log.health()["mlflow"])
""")
    trained = subprocess.run([sys.executable, "train.py"], capture_output=True, text=True)
    assert trained.returncode == 0, trained.stderr
    assert "state='paused'" in trained.stdout
    assert "401" in trained.stdout
    assert "MLFLOW_TRACKING_USERNAME" in trained.stdout
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse-battery")

    synced = subprocess.run(
        [sys.executable, "-m", "refunc", "sync", "--patience", "100"], capture_output=True, text=True
    )

    assert synced.returncode == 0, synced.stdout + synced.stderr
    [found] = server.runs("guarded")
    assert found["info"]["status"] == "FINISHED"
    assert [row["value"] for row in server.history(found["info"]["run_id"], "loss")] == [0.5]
    left = tools.left_in(own_folder)
    assert [path for path in left if path.name.startswith("mlflow-")]
    assert not [path for path, content in left.items() if b"hunter2" in content or b"horse" in content]


@pytest.fixture
def answers(parts: Any) -> Iterator[Callable[[int, bytes], str]]:
    """Start a stand-in that gives every request one answer: failures that a healthy server cannot be made to have."""
    started: list[http.server.ThreadingHTTPServer] = []

    def start(code: int, body: bytes) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                followed = self.path == "/elsewhere"
                said = b"{}" if followed else body
                self.send_response(200 if followed else code)
                if 300 <= code < 400:
                    self.send_header("Location", "/elsewhere")  # where everything is taken
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

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
        *((code, Pause) for code in (301, 302, 303, 307, 308)),
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
def test_what_an_answer_means(
    code: int, kind: type, answers: Callable[[int, bytes], str], run: Any, points: Points
) -> None:
    made = MLflowIntegration(tracking_uri=answers(code, b"no"))
    with opened(made) as hooks:
        made._runs[run.run_id] = "r"  # a run that was made while the server was well
        with pytest.raises(kind):
            hooks.on_metrics(run=run, records=points(1.0))


def test_a_server_that_shows_no_certificate_of_its_own_gets_nothing(
    parts: Any, untrusted: Any, run: Any, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hunter2")
    made = MLflowIntegration(tracking_uri=untrusted.url)
    with opened(made) as hooks:
        made._runs[run.run_id] = "r"
        with pytest.raises(Retry, match="CERTIFICATE_VERIFY_FAILED"):
            hooks.on_metrics(run=run, records=points(1.0))

    assert untrusted.asked == []
