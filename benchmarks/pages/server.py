"""
The cost of the page's server: for tables, curves, idle listeners and new records; in seconds, bytes and memory.

Each store has a server of its own, a real process on a real socket, with a warm index and nothing in memory: the first
request is the one that a user waits for. `--growth` asks the same of stores of several sizes.

    python benchmarks/pages/server.py [--work FOLDER] [--growth]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import stores

_TOKEN = "measured"

_LIVE = """
import sys, time
from refunc.logging import MLLogger, experiment_context

logger = MLLogger("training")
number, pause = int(sys.argv[1]), float(sys.argv[2])
with experiment_context("bench", f"live-{number}"):
    step = 0
    while True:
        logger.log_metrics({"loss": 1 / (1 + step)}, step=step)
        print(step, time.time(), flush=True)
        step += 1
        time.sleep(pause)
"""


class Client:
    """One connection to a server."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def get(self, path: str, **params: object) -> bytes:
        """Return the body of an answer."""
        pairs = [(name, each) for name, value in params.items() for each in _each(value)]
        self._connection.request("GET", f"{path}?{urlencode(pairs)}", headers={"authorization": f"Bearer {_TOKEN}"})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:300]!r}")
        return body


def _each(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [value]


@contextmanager
def served(store: Path, cache: Path) -> Iterator[tuple[Client, int]]:
    """Start a server of *store*; yield a client and the server's process id."""
    environment = {**os.environ, "REFUNC_CACHE": str(cache)}
    command = [
        sys.executable,
        "-m",
        "refunc",
        "--store",
        str(store),
        "ui",
        "--port",
        "0",
        "--token",
        _TOKEN,
        "--no-open",
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().split(":")[2].partition("/")[0])
        client = Client(port, process.pid)
        client.get("/")
        yield client, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


def memory(pid: int) -> tuple[float, float]:
    """Return the most memory that a process had, and the memory of its own that it has now, in MB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) / 1024, int(lines["RssAnon"].split()[0]) / 1024


def timed(client: Client, path: str, **params: object) -> tuple[Took, bytes]:
    """Return the seconds of a request, and its answer."""
    began, before = time.perf_counter(), _cpu(client.pid)
    body = client.get(path, **params)
    return Took(time.perf_counter() - began, _cpu(client.pid) - before), body


class Took(NamedTuple):
    """Seconds of a clock, and of the server's processor: on a machine that does other work, the first are too many."""

    clock: float
    processor: float


def _ids(body: bytes) -> list[str]:
    return [row["id"] for row in json.loads(body)["rows"]]


def show(what: str, took: Took | float, limit: float, body: bytes = b"", unit: str = "s") -> None:
    """Print one line of the table."""
    clock = took.clock if isinstance(took, Took) else took
    cpu = f"{took.processor:6.2f} s CPU" if isinstance(took, Took) else ""
    mark = "" if clock <= limit else "  TOO MUCH"
    size = f"{len(body) / 1024:8.1f} KB" if body else ""
    print(f"{what:58} {clock:10.3f} {unit:2} (at most {limit:g})".ljust(88), f"{cpu:14}{size}{mark}", flush=True)


def warm(store: Path, cache: Path) -> None:
    """Have the index know all runs of *store*."""
    environment = {**os.environ, "REFUNC_CACHE": str(cache)}
    where = ["--where", "metrics.loss.count > 0", "--json"]
    command = [sys.executable, "-m", "refunc", "--store", str(store), "ls", *where]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def table(store: Path, cache: Path, limit: float, name: str) -> None:
    """Measure tables of a store, the first and further ones, and the first charts."""
    with served(store, cache) as (client, pid):
        took, body = timed(client, "/api/runs", columns=["params.lr", "metrics.loss.min"])
        show(f"{name}: first table", took, limit, body)
        took, body = timed(client, "/api/runs", columns=["params.lr", "metrics.loss.min"])
        show(f"{name}: the same again", took, limit, body)
        took, _ = timed(client, "/api/runs", where="params.lr < 0.05", sort="-metrics.loss.min")
        show(f"{name}: filtered and sorted", took, max(limit, 1.0))
        took, _ = timed(client, "/api/runs", group="params.model", columns="metrics.loss.min", limit=0)
        show(f"{name}: grouped", took, max(limit, 1.0))
        ids = _ids(body)
        took, body = timed(client, "/api/curves", metric="loss", run=ids[:5])
        show(f"{name}: first chart, 5 runs", took, 0.5, body)
        took, body = timed(client, "/api/curves", metric="loss", run=ids[:50])
        show(f"{name}: a chart of 50 runs", took, 2.0, body)
        took, body = timed(client, "/api/curves", metric="loss", run=ids[:50], **{"from": 2, "to": 6})
        show(f"{name}: the same, zoomed", took, 0.5, body)
        took, body = timed(client, "/api/curves", metric="loss", run=ids[:100], group="params.model")
        show(f"{name}: bands of 100 runs", took, 2.0, body)
        took, body = timed(client, "/api/metrics", run=ids[:50])
        show(f"{name}: metrics of 50 runs", took, 0.5, body)
        most, own = memory(pid)
        show(f"{name}: memory at most (own: {own:.0f})", most, 200, unit="MB")


def million(store: Path, cache: Path) -> None:
    """Measure one metric of a million points."""
    with served(store, cache) as (client, pid):
        ids = _ids(client.get("/api/runs"))
        took, body = timed(client, "/api/curves", metric="loss", run=ids[0])
        show("1,000,000 points: first chart", took, 0.5, body)
        took, body = timed(client, "/api/curves", metric="loss", run=ids[0], smooth=0.9)
        show("1,000,000 points: smoothed", took, 0.5, body)
        for low, high in ((0, 500_000), (400_000, 410_000), (400_000, 400_400)):
            took, body = timed(client, "/api/curves", metric="loss", run=ids[0], **{"from": low, "to": high})
            show(f"1,000,000 points: zoomed to {high - low:,}", took, 0.5, body)
        took, body = timed(client, "/api/curves", metric="loss", run=ids[0], x="relative")
        show("1,000,000 points: over time", took, 0.7, body)
        took, body = timed(client, "/api/lines", run=ids[0])
        show("1,000,000 points: the newest lines", took, 1.0, body)
        most, own = memory(pid)
        show(f"1,000,000 points: memory at most (own: {own:.0f})", most, 200, unit="MB")


def idle(store: Path, cache: Path, runs: int = 50, seconds: float = 10.0) -> None:
    """Measure the bytes to a listener of running runs that log nothing, and the server's share of a core meanwhile."""
    environment = {**os.environ, "REFUNC_DIR": str(store)}
    live = [
        subprocess.Popen(
            [sys.executable, "-c", _LIVE, str(number), "3600"],
            env=environment,
            cwd=store.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(runs)
    ]
    try:
        for process in live:
            assert process.stdout is not None
            process.stdout.readline()
        with served(store, cache) as (client, pid):
            ids = _ids(client.get("/api/runs", where="status == 'running'", limit=1000))
            with _listening(client.port, ids) as stream:
                first = _read_for(stream, 3.0)
                before = _cpu(pid)
                body = _read_for(stream, seconds)
                share = (_cpu(pid) - before) / seconds
            show(f"{len(ids)} idle runs: bytes at the beginning", len(first), 20_000, unit="B")
            show(f"{len(ids)} idle runs: bytes in {seconds:g} s", len(body), 2_000, unit="B")
            show(f"{len(ids)} idle runs: share of a core", share, 0.25, unit="")
    finally:
        for process in live:
            process.kill()
            process.wait()


def arrival(store: Path, cache: Path, records: int = 20) -> None:
    """Measure the seconds from a call in a training to its event in a stream."""
    environment = {**os.environ, "REFUNC_DIR": str(store)}
    command = [sys.executable, "-c", _LIVE, "99", "0.5"]
    process = subprocess.Popen(command, env=environment, cwd=store.parent, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        with served(store, cache) as (client, _):
            ids = _ids(client.get("/api/runs", where="status == 'running'"))
            seen: dict[int, float] = {}
            with _listening(client.port, ids) as stream:
                while len(seen) < records:
                    line = stream.readline()
                    if line.startswith(b"data:") and b'"metrics"' in line:
                        seen.setdefault(json.loads(line[5:])["metrics"]["loss"], time.time())
        process.kill()
        logged = {int(step) + 1: float(at) for step, at in (line.split() for line in process.stdout if " " in line)}
        late = sorted(at - logged[count] for count, at in seen.items() if count in logged)
        show(f"a new record, {len(late)} times: median", late[len(late) // 2], 1.0)
        show("a new record: the latest", late[-1], 1.0)
    finally:
        process.kill()
        process.wait()


@contextmanager
def _listening(port: int, ids: list[str]) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    query = urlencode([("run", name) for name in ids] + [("metric", "loss")])
    connection.request("GET", f"/api/events?{query}", headers={"authorization": f"Bearer {_TOKEN}"})
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def _read_for(stream: http.client.HTTPResponse, seconds: float) -> bytes:
    """Return the bytes that come in some seconds."""
    found = b""
    until = time.monotonic() + seconds
    socket = stream.fp.raw._sock  # type: ignore[attr-defined]  # to wait no longer than that
    while (left := until - time.monotonic()) > 0:
        if select.select([socket], [], [], left)[0]:
            found += stream.read1(65536)
    return found


def _cpu(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def growth(work: Path, cache: Path) -> None:
    """Measure how a first table grows with the number of runs, and a first chart with the number of points."""
    for runs in (100, 1_000, 10_000):
        store = work / f"growth-{runs}"
        stores.many(store, runs, 10)
        warm(store, cache)
        with served(store, cache) as (client, pid):
            took, body = timed(client, "/api/runs")
            show(f"{runs:,} runs of 10 points: first table", took, 1.0, body)
            print(f"{'':58} {memory(pid)[0]:8.0f} MB")
    for points in (1_000, 10_000, 100_000, 1_000_000):
        store = work / f"points-{points}"
        stores.many(store, 1, points)
        warm(store, cache)
        with served(store, cache) as (client, pid):
            ids = _ids(client.get("/api/runs"))
            took, body = timed(client, "/api/curves", metric="loss", run=ids[0])
            show(f"{points:,} points: first chart", took, 0.5, body)
            print(f"{'':58} {memory(pid)[0]:8.0f} MB")


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, help="a folder that keeps the stores for another time")
    parser.add_argument("--growth", action="store_true", help="the same for several sizes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        cache = work / "cache"
        if options.growth:
            growth(work, cache)
            return
        thousand, tens, one = work / "thousand", work / "ten-thousand", work / "million"
        stores.many(thousand, 1_000, 10_000)
        stores.many(tens, 10_000, 10)
        stores.many(one, 1, 1_000_000)
        for store in (thousand, tens, one):
            warm(store, cache)
        table(thousand, cache, 0.3, "1,000 runs of 10,000 points")
        table(tens, cache, 1.0, "10,000 runs")
        million(one, cache)
        idle(work / "idle", cache)
        arrival(work / "arrival", cache)


if __name__ == "__main__":
    main()
