"""
A plugin that keeps its contract, `KeepIntegration`, and its backend.

The backend is a small HTTP server that keeps the rows it is sent, once for each key, and fails when it is told to.
"""

from __future__ import annotations

import http.server
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from refunc.plugins import Integration, LogLine, Metrics, Params, Pause, Reject, Retry, RunEnd, Tags, hookimpl, option
from refunc.plugins.testing import Stored

TOKEN = "s3cr3t-t0ken-keep"


class Server:
    """Keeps rows by their key, in order; answers with the status that it is told."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.status = 200
        self.is_slow = False
        self._goes_on = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.is_slow:
                    outer._goes_on.wait(60)
                if outer.status == 200:
                    for row in rows:
                        outer.rows.setdefault(row["key"], row)
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing of a client that has hung up."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, run_id: str) -> Stored:
        rows = [row for row in self.rows.values() if row["run"] == run_id]
        of_kind: Callable[[str], list[dict[str, Any]]] = lambda kind: [row for row in rows if row["kind"] == kind]  # noqa: E731
        return Stored(
            metrics=[(row["name"], row["step"], row["value"]) for row in of_kind("metric")],
            params={row["name"]: row["value"] for row in of_kind("param")},
            tags={row["name"]: row["value"] for row in of_kind("tag")},
            lines=[row["message"] for row in of_kind("line")],
            status=next((row["status"] for row in of_kind("end")), None),
        )

    @contextmanager
    def failing(self, how: str) -> Iterator[None]:
        refused = pytest.MonkeyPatch()
        if how == "slow":
            self.is_slow = True
            refused.setattr(KeepIntegration, "timeout", 0.3)
        elif how != "off":
            self.status = int(how)
        if how == "off":
            refused.setattr(KeepIntegration, "_address", lambda each: f"http://127.0.0.1:{_closed_port()}")
        try:
            yield
        finally:
            self.status, self.is_slow = 200, False
            self._goes_on.set()
            self._goes_on = threading.Event()
            refused.undo()


def _closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class KeepIntegration(Integration):
    """Sends a row for each point, param, tag and line, with a key that says which it is."""

    url: str = option(default="")
    token: str = option(default=TOKEN, secret=True)
    #: A short one is for a server that is slow: a busy machine may take seconds for a usual answer.
    timeout: ClassVar[float] = 20.0

    def open(self) -> None:
        self._pending: list[dict[str, Any]] = []

    def close(self) -> None:
        pass

    @hookimpl
    def on_run_start(self, run: Any) -> None:
        pass

    @hookimpl
    def on_hyperparams(self, run: Any, record: Params) -> None:
        self.send([self.row(run, record, "param", name, value=value) for name, value in record.params.items()])

    @hookimpl
    def on_tags(self, run: Any, record: Tags) -> None:
        self.send([self.row(run, record, "tag", name, value=value) for name, value in record.tags.items()])

    @hookimpl
    def on_metrics(self, run: Any, records: tuple[Metrics, ...]) -> None:
        self.send([row for record in records for row in self.rows(run, record)])

    @hookimpl
    def on_log(self, run: Any, records: tuple[LogLine, ...]) -> None:
        self.send([self.row(run, line, "line", "", message=line.message) for line in records])

    @hookimpl
    def on_run_end(self, run: Any, record: RunEnd) -> None:
        self.send([self.row(run, record, "end", "", status=self.word(record.status))])

    def rows(self, run: Any, record: Metrics) -> list[dict[str, Any]]:
        return [
            self.row(run, record, "metric", name, step=record.step, value=value)
            for name, value in record.metrics.items()
        ]

    def row(self, run: Any, record: Any, kind: str, name: str, **fields: Any) -> dict[str, Any]:
        key = f"{run.run_id} {record.writer} {record.seq} {kind} {name}"
        return {"run": run.run_id, "kind": kind, "name": name, "key": key, **fields}

    def word(self, status: str) -> str:
        return status

    def send(self, rows: list[dict[str, Any]]) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self._address(), json.dumps(rows).encode(), headers)
        try:
            urllib.request.urlopen(request, timeout=self.timeout).close()
        except urllib.error.HTTPError as error:
            error.close()
            raise self.told(error.code) from None

    def _address(self) -> str:
        return self.url

    def told(self, status: int) -> Exception:
        if status in (401, 403):
            return Pause("set KEEP_TOKEN")
        if 400 <= status < 500 and status != 429:
            return Reject(f"HTTP {status}")
        return Retry(f"HTTP {status}")
