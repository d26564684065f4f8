"""Real MLflow servers, on SQLite and on PostgreSQL, on free ports of the loopback, stopped by their own ids."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.mlflow.proxy import Proxy

from refunc.plugins import Metrics
from refunc.plugins.testing import sample_run

INSTALL = "pip install mlflow psycopg2-binary"
INSTALL_POSTGRES = "apt-get install postgresql"


class Server:
    """An MLflow server that can be stopped, frozen and started again at the same address."""

    def __init__(self, tools: Any, folder: Path, store: str, *options: str, **environment: str) -> None:
        self.folder, self.store, self.options, self.environment = folder, store, options, environment
        self.credentials: str | None = None
        self._until = tools.until
        self.port = tools.free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", self.store, "--artifacts-destination", str(self.folder / "artifacts")]
        # By itself it hangs up after five seconds without a request, which may then be on its way on a busy machine.
        command += ["--uvicorn-opts", "--timeout-keep-alive 600"]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [*command, "--workers", "1", *self.options],
                cwd=self.folder,
                env={**os.environ, **quiet, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._until(self.is_ready, 280)  # it is over as soon as its process is

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2_000:]
        try:
            return bool(self.post("experiments/search", max_results=1))
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False

    def signal(self, number: int) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def stop(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def ask(self, endpoint: str, /, **query: Any) -> Any:
        text = "&".join(f"{key}={value}" for key, value in query.items())
        return self._answer(urllib.request.Request(f"{self.uri}/api/2.0/mlflow/{endpoint}?{text}"))

    def post(self, path: str, **body: Any) -> Any:
        data = json.dumps(body).encode()
        return self._answer(
            urllib.request.Request(f"{self.uri}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"})
        )

    def _answer(self, request: urllib.request.Request) -> Any:
        if self.credentials is not None:
            request.add_header("Authorization", f"Basic {b64encode(self.credentials.encode()).decode()}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def runs(self, experiment: str) -> list[Any]:
        found = self.ask("experiments/get-by-name", experiment_name=experiment)["experiment"]["experiment_id"]
        return list(self.post("runs/search", experiment_ids=[found], max_results=1000).get("runs", []))

    def history(self, run_id: str, key: str) -> list[Any]:
        rows, token = [], ""
        while True:
            page = self.ask(
                "metrics/get-history",
                run_id=run_id,
                metric_key=key,
                max_results=25000,
                **({"page_token": token} if token else {}),
            )
            rows += page.get("metrics", [])
            token = page.get("next_page_token", "")
            if not token:
                return rows


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, tools: Any) -> Iterator[Callable[..., Server]]:
    """Start servers; all are stopped at the end."""
    started: list[Server] = []

    def start(store: str | None = None, *options: str, **environment: str) -> Server:
        folder = tmp_path_factory.mktemp("server")
        server = Server(tools, folder, store or f"sqlite:///{folder}/mlflow.db", *options, **environment)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def sqlite_server(servers: Callable[..., Server]) -> Server:
    return servers()


def postgres_bin() -> Path | None:
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture(scope="session")
def postgres(tools: Any) -> Iterator[str]:
    """Start a PostgreSQL cluster of our own and give the address of an empty database in it."""
    programs = postgres_bin()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="refunc-postgres-", dir="/var/tmp"))  # postgres cannot reach pytest's folder
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    port = tools.free_port()

    def run(*command: str) -> None:
        become = ["runuser", "-u", "postgres", "--"] if is_root else []
        subprocess.run([*become, *command], check=True, capture_output=True, cwd=folder)

    run(str(programs / "initdb"), "-D", f"{folder}/data", "-A", "trust", "-U", "postgres", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    run(
        str(programs / "pg_ctl"),
        "-D",
        f"{folder}/data",
        "-w",
        "-t",
        "280",
        "-l",
        f"{folder}/log",
        "-o",
        options,
        "start",
    )
    try:
        yield f"postgresql+psycopg2://postgres@127.0.0.1:{port}/postgres"
    finally:
        run(str(programs / "pg_ctl"), "-D", f"{folder}/data", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def parts(require: Callable[[bool, str], None]) -> Any:
    """Skip, or in CI fail, where MLflow or PostgreSQL is not installed."""
    require(
        importlib.util.find_spec("mlflow") is not None and importlib.util.find_spec("sqlalchemy") is not None, INSTALL
    )

    class Parts:
        @staticmethod
        def postgres() -> None:
            require(importlib.util.find_spec("psycopg2") is not None, INSTALL)
            require(postgres_bin() is not None, INSTALL_POSTGRES)

    return Parts


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, parts: Any, servers: Callable[..., Server]) -> Server:
    """Give a server on each of the two databases."""
    if request.param == "postgresql":
        parts.postgres()
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture(scope="session")
def postgresql_server(servers: Callable[..., Server], postgres: str) -> Server:
    return servers(postgres)


@pytest.fixture
def lone_server(parts: Any, sqlite_server: Server) -> Server:
    """Give the server on SQLite, for tests that do not depend on the database."""
    return sqlite_server


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the settings of MLflow in a developer's shell; those that `open` makes are gone after the test."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_ALLOW_HTTP_REDIRECTS", "false")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture
def name() -> str:
    """Return the name of an experiment that no server has yet."""
    return f"experiment-{time.time_ns()}"


@pytest.fixture
def run(tmp_path: Path) -> Any:
    return sample_run(tmp_path / "run", run_id=f"r{time.time_ns() % 10**10}")


@pytest.fixture
def points() -> Callable[..., list[Metrics]]:
    """Return records of one metric, a millisecond apart."""

    def points(*values: float, key: str = "loss", step: int | None = 0) -> list[Metrics]:
        moment = 1_700_000_000.0
        return [
            Metrics(metrics={key: value}, step=step, time=moment + n / 1000, writer="w", seq=n)
            for n, value in enumerate(values)
        ]

    return points


@pytest.fixture
def proxy(lone_server: Any) -> Iterator[Proxy]:
    proxy = Proxy(lone_server.port)
    yield proxy
    proxy.close()
