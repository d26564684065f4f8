"""Integrations for the tests of delivery: a module that other processes can import, and runs made by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.logging.run import ActiveRun, new_run

#: Appends each call to a file, one JSON line each, and misbehaves as its options say.
PROBES = '''
import json, os, sys, threading, time
from pathlib import Path
from refunc.plugins import Integration, Pause, Reject, Retry, hookimpl, option

class ProbeIntegration(Integration):
    """Writes down what it gets; refuses while the file `down` is there."""

    path: str = option(default="calls.jsonl")
    token: str | None = option(default=None, env="PROBE_TOKEN", secret=True)

    def note(self, hook, **fields):
        if Path("down").exists():
            raise Retry("the server is down")
        line = json.dumps({"hook": hook, "pid": os.getpid(), "token": self.token, "time": time.time(), **fields})
        with open(self.path, "a") as file:
            file.write(line + "\\n")

    @hookimpl
    def on_run_start(self, run): self.note("start", run=run.run_name, parent=run.parent_id)
    @hookimpl
    def on_hyperparams(self, run, record): self.note("params", params=record.params, all=dict(run.params))
    @hookimpl
    def on_tags(self, run, record): self.note("tags", tags=record.tags)
    @hookimpl
    def on_metrics(self, run, records):
        self.note("metrics", ids=[[r.writer, r.seq] for r in records], steps=[r.step for r in records],
                  names=[sorted(r.metrics) for r in records])
    @hookimpl
    def on_log(self, run, records): self.note("log", messages=[r.message for r in records])
    @hookimpl
    def on_artifact(self, run, record):
        self.note("artifact", files=[[str(f.path), f.source.read_text()] for f in run.files_of(record)])
    @hookimpl
    def on_run_end(self, run, record): self.note("end", status=record.status, run=run.run_name, error=record.error)

class RaisesIntegration(Integration):
    @hookimpl
    def on_metrics(self, run, records): raise ZeroDivisionError("in a hook")

class QuitsIntegration(Integration):
    @hookimpl
    def on_run_start(self, run): sys.exit(1)
    @hookimpl
    def on_metrics(self, run, records): sys.exit(1)

class SleepsIntegration(Integration):
    @hookimpl
    def on_metrics(self, run, records): threading.Event().wait()

class DiesIntegration(Integration):
    """Ends its process, as one that takes all memory does."""
    @hookimpl
    def on_metrics(self, run, records): os.kill(os.getpid(), 9)

class OpenRaisesIntegration(Integration):
    def open(self): raise RuntimeError("cannot open")
    @hookimpl
    def on_metrics(self, run, records): pass

class OnceIntegration(ProbeIntegration):
    delivery = "at-most-once"

class LiveIntegration(ProbeIntegration):
    delivery = "live"
'''

PRELUDE = """
import os, signal, sys, threading, time
sys.path.insert(0, os.getcwd())
from refunc.logging import MLLogger, experiment_context
from probes import *
log = MLLogger("train")
"""


@pytest.fixture(autouse=True)
def probes(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Put the module `probes` into the test's folder, and import it."""
    (own_folder / "probes.py").write_text(PROBES)
    monkeypatch.syspath_prepend(str(own_folder))
    import importlib

    sys.modules.pop("probes", None)
    yield importlib.import_module("probes")
    sys.modules.pop("probes", None)


@pytest.fixture
def script(own_folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a training script as a process; at the test's end it is killed, and so are its delivery processes."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, **environment: str) -> subprocess.Popen[str]:
        path = own_folder / f"script{len(started)}.py"
        path.write_text(PRELUDE + textwrap.dedent(code), "utf-8")
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path)],
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    for pid in delivery_pids(own_folder):
        os.kill(pid, 9)


@pytest.fixture
def finished(script: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """Run a training script to its end and return exit code, output and errors."""

    def finish(code: str, deadline: float = 40, **environment: str) -> tuple[int, str, str]:
        process = script(code, **environment)
        out, err = process.communicate(timeout=deadline)
        return process.returncode, out, err

    return finish


@pytest.fixture
def calls(own_folder: Path) -> Callable[..., list[dict[str, Any]]]:
    """Return what a probe wrote down, of one hook or of all."""

    def read(hook: str | None = None, path: str = "calls.jsonl") -> list[dict[str, Any]]:
        file = own_folder / path
        # A line without its end is still being written.
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        found = [json.loads(line) for line in lines]
        return [call for call in found if hook is None or call["hook"] == hook]

    return read


@pytest.fixture
def make_run(own_folder: Path) -> Iterator[Callable[..., ActiveRun]]:
    """Open a run of this process by hand, without any logger."""
    made: list[ActiveRun] = []

    def make(name: str = "made") -> ActiveRun:
        run = new_run(experiment="exp", run_name=name, store=own_folder / "experiments", logger="train")
        run.start()
        made.append(run)
        return run

    yield make
    for run in made:
        run.end("completed")


def delivery_pids(folder: Path) -> list[int]:
    """Return the delivery processes that work for *folder*, by their working folder and their program."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                program = (entry / "cmdline").read_bytes()
                if b"refunc.delivery.process" in program and os.readlink(entry / "cwd") == str(folder.resolve()):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_until(condition: Callable[[], Any], deadline: float = 20.0) -> Any:
    """Come back with what *condition* gives as soon as that is true; fail after *deadline* seconds."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)
    return value


@pytest.fixture
def tools() -> Any:
    """Give the functions above; importlib mode has no import between test files."""

    class Tools:
        pids = staticmethod(delivery_pids)
        until = staticmethod(wait_until)

    return Tools
