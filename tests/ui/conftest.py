"""A store written by real trainings, and the real server of its page: a process of its own, on a real socket."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest
from tests.trainings import Training

TOKEN = "the-token"
#: Seconds within which whatever is waited for has to come.
DEADLINE = 60.0


@attrs.frozen
class Answer:
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def curves(self) -> dict[str, Any]:
        """The header of an answer with curves, each with its columns by name under `data`."""
        size = int.from_bytes(self.body[:4], "little")
        header = json.loads(self.body[4 : 4 + size])
        assert (4 + size) % 8 == 0
        at = 4 + size
        for curve in header["curves"]:
            curve["data"] = {}
            for name in curve["columns"]:
                column = array("d")
                column.frombytes(self.body[at : at + 8 * curve["count"]])
                curve["data"][name] = column.tolist()
                at += 8 * curve["count"]
        assert at == len(self.body)
        return header


@attrs.define
class Server:
    """The server of a store."""

    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.address.split(":")[2].partition("/")[0])

    def get(self, address: str, headers: dict[str, str] | None = None, method: str = "GET", **params: Any) -> Answer:
        """Return the answer to a request, which has the token unless *headers* are given."""
        pairs = [(name, each) for name, value in params.items() for each in _each(value)]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            given = {"authorization": f"Bearer {TOKEN}"} if headers is None else headers
            target = f"{address}?{urlencode(pairs)}" if pairs else address
            own = {"skip_host": "host" in given, "skip_accept_encoding": "accept-encoding" in given}
            connection.putrequest(method, target, **own)
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def json(self, address: str, **params: Any) -> Any:
        """Return the JSON of an answer, which must be one."""
        answer = self.get(address, **params)
        assert answer.status == 200, answer.body
        return answer.json

    def curves(self, **params: Any) -> dict[str, Any]:
        """Return the curves of an answer; see `Answer.curves`."""
        answer = self.get("/api/curves", **params)
        assert answer.status == 200, answer.body
        return answer.curves

    def ids(self, **params: Any) -> dict[str, str]:
        """Return the runs' ids by their names."""
        return {row["name"]: row["id"] for row in self.json("/api/runs", limit=1000, **params)["rows"]}

    def stop(self, number: int = signal.SIGINT) -> str:
        """End it; return its text on stderr."""
        self.process.send_signal(number)
        try:
            return self.process.communicate(timeout=DEADLINE)[1]
        finally:
            self.process.kill()


def _each(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start servers: `start(store, "--port", …)`; *before* stands before the command."""
    started: list[Server] = []

    def start(
        store: Path, *options: str, token: str | None = TOKEN, before: Sequence[str] = (), **environment: str
    ) -> Server:
        given = ["--no-open", *options, *(["--token", token] if token is not None else [])]
        if not any(option.startswith("--port") for option in given):
            given += ["--port", "0"]
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "refunc", "--store", str(store), "ui", *given],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            cwd=tmp_path_factory.mktemp("server"),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), process.stderr.read()
        started.append(Server(process, address))
        return started[-1]

    yield start
    for server in started:
        server.process.kill()
        server.process.communicate()


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, str], None]:
    """Run a script that writes runs into a store; it has `logger`, `run(name, …)` and the names of refunc.logging."""
    prelude = """
        import math, os, random, sys, time
        from refunc.logging import *
        logger = MLLogger("training")
        def run(name, experiment="digits", **options):
            return experiment_context(experiment, name, logger=logger, **options)
    """

    def train(store: Path, script: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(prelude) + textwrap.dedent(script)],
            env={**os.environ, "REFUNC_DIR": str(store), "REFUNC_QUIET": "1"},
            capture_output=True,
            text=True,
            cwd=tmp_path_factory.mktemp("training"),
        )
        assert done.returncode == 0, done.stderr

    return train


def multiply(store: Path, count: int) -> None:
    """Have the only run of *store* be there so many times, each but the first as `run-N` with a time of its own."""
    (base,) = [path for path in store.iterdir() if (path / "run.json").exists()]
    birth = json.loads((base / "run.json").read_text())
    journal = next((base / "journal").iterdir())
    for number in range(count - 1):
        folder = store / f"run-{number}"
        (folder / "journal").mkdir(parents=True)
        (folder / "journal" / journal.name).hardlink_to(journal)
        named = {**birth, "run_id": f"id{number:06}", "run_name": f"run-{number}", "start_time": 1_000.0 + number}
        (folder / "run.json").write_text(json.dumps(named))


@pytest.fixture
def live() -> Iterator[Callable[..., Training]]:
    """Start trainings that have a run open: `live(store, "name")`."""
    started: list[Training] = []

    def start(store: Path, name: str = "live") -> Training:
        started.append(Training.start(store, name))
        return started[-1]

    yield start
    for training in started:
        training.close()


@attrs.frozen
class Event:
    """One event of a stream."""

    kind: str
    id: str
    data: Any


class Stream:
    """A stream of events, read one by one."""

    def __init__(self, server: Server, last_id: str | None = None, **params: Any) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
        pairs = [(name, each) for name, value in params.items() for each in _each(value)]
        headers = {"authorization": f"Bearer {TOKEN}"} | ({"last-event-id": last_id} if last_id else {})
        self._connection.request("GET", f"/api/events?{urlencode(pairs)}", headers=headers)
        self.answer = self._connection.getresponse()

    def next(self) -> Event:
        """Return the next event; comments are passed over."""
        fields: dict[str, str] = {}
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            if not line and "data" in fields:
                return Event(fields["event"], fields["id"], json.loads(fields["data"]))
            if not line:
                continue
            name, _, value = line.partition(": ")
            fields[name] = value

    def until(self, is_wanted: Callable[[Event], bool]) -> list[Event]:
        """Return the events up to the first that is wanted."""
        until = time.monotonic() + DEADLINE
        found = [self.next()]
        while not is_wanted(found[-1]):
            assert time.monotonic() < until, found
            found.append(self.next())
        return found

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@pytest.fixture
def listen() -> Iterator[Callable[..., Stream]]:
    """Open streams: `listen(server, run=…, metric=…)`."""
    opened: list[Stream] = []

    def listen(server: Server, last_id: str | None = None, **params: Any) -> Stream:
        opened.append(Stream(server, last_id, **params))
        return opened[-1]

    yield listen
    for stream in opened:
        stream.close()


def wait_for(is_so: Callable[[], Any]) -> Any:
    """Return the first true result; fail if there is none within the deadline."""
    until = time.monotonic() + DEADLINE
    while not (found := is_so()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
    return found
