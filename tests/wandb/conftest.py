"""
A small local stand-in for the part of W&B's HTTP API that its client uses, and W&B's own reader of offline files.

And the run and its points that the tests deliver.
"""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.plugins import Metrics
from refunc.plugins.testing import sample_run
from refunc_wandb import client

KEY = "k" * 36 + "hunt"


class _QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class Api:
    """A server for the client: GraphQL for the run, a file stream for its rows."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.exits: dict[str, int] = {}
        self.summaries: dict[str, dict[str, Any]] = {}
        self.upserts: list[dict[str, Any]] = []
        self.fail_with: int | None = None
        #: Another address, which every request is sent to; and the credentials that requests had.
        self.redirect: tuple[int, str] | None = None
        self.credentials: list[str | None] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, code: int, body: Any) -> None:
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.credentials.append(self.headers["Authorization"])
                if outer.redirect is not None:
                    self.send_response(outer.redirect[0])
                    self.send_header("Location", outer.redirect[1] + self.path)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif outer.fail_with is not None:
                    self.answer(outer.fail_with, {"errors": [{"message": "no"}]})
                elif self.path.startswith("/graphql"):
                    self.answer(200, {"data": outer.graphql(json.loads(raw))})
                elif self.path.endswith("/file_stream"):
                    outer.stream(self.path.split("/")[-2], json.loads(raw))
                    self.answer(200, {"exitcode": None, "limits": {}})
                else:
                    self.answer(404, {})

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.answer(200, {})

            def do_GET(self) -> None:
                self.answer(404, {})

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = _QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def graphql(self, request: dict[str, Any]) -> dict[str, Any]:
        query, variables = request.get("query", ""), request.get("variables") or {}
        if "upsertBucket" in query:
            self.upserts.append(variables)
            name = variables.get("name") or variables.get("bucket") or "r"
            return {"upsertBucket": {"bucket": self.bucket(name), "inserted": name not in self.rows}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/up/{name}"} for name in variables.get("files", [])]
            return {"createRunFiles": {"runID": "x", "uploadHeaders": [], "files": files}}
        if "RunResumeStatus" in query:
            name = variables.get("name", "")
            known = self.bucket(name) if name in self.rows else None
            return {"model": {"id": "p", "name": "p", "entity": {"id": "e", "name": "team"}, "bucket": known}}
        return {"viewer": {"id": "v", "entity": "team", "username": "me", "flags": "{}", "teams": {"edges": []}}}

    def bucket(self, name: str) -> dict[str, Any]:
        rows = self.rows.get(name, [])
        return {
            "id": f"id-{name}",
            "name": name,
            "displayName": name,
            "description": "",
            "config": "{}",
            "summaryMetrics": json.dumps(self.summaries.get(name, {})),
            "sweepName": None,
            "historyLineCount": len(rows),
            "eventsLineCount": 0,
            "logLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in rows[-1:]]),
            "eventsTail": "[]",
            "tags": [],
            "wandbConfig": json.dumps({"t": 1}),
            "project": {"id": "p", "name": "p", "entity": {"id": "e", "name": "team"}},
        }

    def stream(self, run: str, body: dict[str, Any]) -> None:
        files = body.get("files") or {}
        history = files.get("wandb-history.jsonl")
        if history:
            rows = self.rows.setdefault(run, [])
            lines = [json.loads(line) for line in history["content"]]
            rows[history["offset"] : history["offset"] + len(lines)] = lines
        summary = files.get("wandb-summary.json")
        if summary:
            self.summaries[run] = json.loads(summary["content"][-1])
        if body.get("complete"):
            self.exits[run] = body.get("exitcode")


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    api.server.shutdown()
    api.server.server_close()


@pytest.fixture
def elsewhere() -> Iterator[Api]:
    """Start another one, which has another name for clients."""
    api = Api()
    api.url = api.url.replace("127.0.0.1", "localhost")
    yield api
    api.server.shutdown()
    api.server.server_close()


@pytest.fixture(autouse=True)
def own_environment(require: Callable[[bool, str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave out the settings of W&B in a developer's shell and home, and be patient with a busy machine."""
    require(importlib.util.find_spec("wandb") is not None, "pip install wandb")
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for bound in ("INIT_TIMEOUT", "FINISH_TIMEOUT"):
        monkeypatch.setattr(client, bound, 60.0)


@pytest.fixture
def read_offline() -> Callable[[Path], list[dict[str, Any]]]:
    """Return a function that reads the offline files below a folder with W&B's own command."""

    def read(folder: Path) -> list[dict[str, Any]]:
        found = []
        for path in sorted(folder.rglob("*.wandb")):
            command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            found += [json.loads(line) for line in done.stdout.split("\n") if line]  # U+2028 ends none
        return found

    return read


@pytest.fixture
def run(tmp_path: Path) -> Any:
    return sample_run(tmp_path / "run", run_id=f"r{time.time_ns() % 10**9}")


def on_a_thread(call: Callable[[], Any]) -> None:
    """Run *call* as delivery does: not on the main thread."""
    raised: list[BaseException] = []

    def target() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(100)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


def points(*steps: int, start: int = 0) -> list[Metrics]:
    return [
        Metrics(metrics={"loss": 1 / (1 + step)}, step=step, time=1.7e9 + n, writer="w", seq=n)
        for n, step in enumerate(steps, start)
    ]


def points_in(rows: list[dict[str, Any]]) -> list[tuple[str, Any, Any]]:
    return [(name, row["refunc/step"], row[name]) for row in rows for name in ("loss", "acc", "odd") if name in row]


def config_in(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the config that offline *records* come to."""
    config: dict[str, Any] = {}
    for record in records:
        told = record.get("config") or record.get("run", {}).get("config") or {}
        config.update(told.get("update", {}))
    return config
