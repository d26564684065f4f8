"""A stand-in for Slack that refuses each message that Slack would refuse."""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import refunc_slack
from refunc.plugins.testing import sample_run

SECRET = "T000-B000-hunter2"


def problem_of(message: dict[str, Any]) -> str | None:
    """Return the problem that Slack would have with *message*, by its documented limits."""
    if len(message.get("text", "")) > 40_000 or len(message.get("blocks", [])) > 50:
        return "too long"
    if sum(len(json.dumps(block)) for block in message.get("blocks", [])) > 13_000:
        return "too long in all"
    for block in message.get("blocks", []):
        kind, text = block.get("type"), block.get("text")
        if kind == "header":
            if text["type"] != "plain_text" or not 0 < len(text["text"]) <= 150:
                return "header"
        elif kind == "section":
            fields = block.get("fields", [])
            if text is None and not fields:
                return "section without text"
            if text is not None and not 0 < len(text["text"]) <= 3_000:
                return "section"
            if len(fields) > 10 or any(not 0 < len(field["text"]) <= 2_000 for field in fields):
                return "fields"
        elif kind == "context":
            if not 0 < len(block["elements"]) <= 10:
                return "context"
        else:
            return f"type {kind}"
    return None


class Receiver:
    """Slack's behaviour at a webhook: limits, a rate of one a second with a small burst, and failures on demand."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.followed: list[str] = []
        self.answers: deque[tuple[int, str]] = deque()
        self.arrivals: list[float] = []
        self.rate: float | None = None
        self.hangs_up = False
        #: Seconds that the next messages are on their way.
        self.delays: deque[float] = deque()
        self.answers_after = 0.0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(outer.delays.popleft() if outer.delays else 0.0)
                code, body = outer.judge(message)
                time.sleep(outer.answers_after)
                if outer.hangs_up:
                    self.close_connection = True
                    return
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("Location", f"{outer.url}/elsewhere")
                if code == 429:
                    self.send_header("Retry-After", "3")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # the client was killed meanwhile
                    self.wfile.write(body.encode())

            def do_GET(self) -> None:  # where a redirect leads
                outer.followed.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/{SECRET}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def judge(self, message: dict[str, Any]) -> tuple[int, str]:
        if self.answers:
            return self.answers.popleft()
        now = time.monotonic()
        self.arrivals.append(now)
        if self.rate is not None and sum(now - moment < self.rate for moment in self.arrivals) > 1:
            return 429, "rate_limited"
        problem = problem_of(message)
        if problem is not None:
            self.refused.append(problem)
            return 400, "invalid_blocks"
        self.messages.append(message)
        return 200, "ok"

    def texts(self) -> list[str]:
        return [json.dumps(message, ensure_ascii=False) for message in self.messages]


@pytest.fixture
def slack(require: Callable[[bool, str], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    require(importlib.util.find_spec("slack_sdk") is not None, "pip install slack-sdk")
    monkeypatch.setattr(refunc_slack, "INTERVAL", 0.0)
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def run(tmp_path: Path) -> Any:
    return sample_run(tmp_path / "run")
