"""
Tests that use refunc in their own process leave it as they found it.

And what tests of delivery and of the command line share: integrations in a module that other processes can import,
training scripts, and runs made by hand.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import refunc.logging
from refunc.logging.run import ActiveRun, new_run
from refunc.plugins import discovery

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

class EatsIntegration(Integration):
    """Takes memory until its process is killed: by the kernel where there is a limit, else by its own hand."""
    @hookimpl
    def on_metrics(self, run, records):
        held = []
        while len(held) < 64: held.append(b"x" * (8 << 20))
        os.kill(os.getpid(), 9)

class OpenRaisesIntegration(Integration):
    def open(self): raise RuntimeError("cannot open")
    @hookimpl
    def on_metrics(self, run, records): pass

class PickyIntegration(ProbeIntegration):
    """Will not have lines that are bad; while the file `broken` is there, it fails at all of them."""
    @hookimpl
    def on_log(self, run, records):
        if Path("broken").exists(): raise ZeroDivisionError("in a hook")
        if any("bad" in r.message for r in records): raise Reject("a bad line")
        self.note("log", messages=[r.message for r in records])

class EndsIntegration(Integration):
    """Is interested in nothing but the end."""
    @hookimpl
    def on_run_end(self, run, record): pass

class EndlessIntegration(Integration):
    """Takes all but the end."""
    @hookimpl
    def on_run_end(self, run, record): raise Retry("never ends")

class SlowIntegration(Integration):
    """Takes a while for each artifact, and says so on stdout, as clients of trackers do."""
    @hookimpl
    def on_artifact(self, run, record):
        time.sleep(0.5)
        print("uploaded", record.name, flush=True)

class SecretIntegration(ProbeIntegration):
    key: str = option(env="SECRET_KEY", secret=True)
    @hookimpl
    def on_run_start(self, run): self.note("start", length=len(self.key))

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

HOOK = "    @hookimpl\n    def on_log(self, run, records): pass\n"
HEAD = "from refunc.plugins import Integration, NotConfigured, hookimpl, option\n"
#: Modules of plugins that `install` knows by name.
PLUGINS = {
    "fine": HEAD + "class FineIntegration(Integration):\n    level: int = option(default=1)\n" + HOOK,
    "needy": HEAD + "class NeedyIntegration(Integration):\n    key: str = option(env='NEEDY_KEY')\n" + HOOK,
    "raiser": "raise RuntimeError('not today')\n",
    "quitter": "import sys\nsys.exit(3)\n",
    "bomb": HEAD + "class BombIntegration(Integration):\n    def check(self): raise OSError('boom')\n" + HOOK,
    "empty": "class EmptyIntegration: pass\n",
}


@pytest.fixture(autouse=True)
def clean_process() -> Iterator[None]:
    """Leave no run, waiting line, warning memory or logger behind for the next test."""
    from refunc.logging import current, logfile, report, setup

    yield
    for run in reversed(list(current.open_runs())):
        current.finish(run, "completed")
    current.loose_lines.clear()
    report._said.clear()
    for file in logfile._files.values():
        file.close()
    logfile._files.clear()
    setup._capture_warnings(False)
    setup._loggers.clear()
    setup._settings.clear()
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and not name.startswith(("hypothesis", "asyncio", "concurrent")):
            logger.handlers.clear()
            logger.setLevel(logging.NOTSET)
    for name in refunc.logging._DEFAULT_LOGGER:
        vars(refunc.logging).pop(name, None)


@pytest.fixture
def probes(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Put the module `probes` into the test's folder, and import it."""
    (own_folder / "probes.py").write_text(PROBES)
    monkeypatch.syspath_prepend(str(own_folder))
    import importlib

    sys.modules.pop("probes", None)
    yield importlib.import_module("probes")
    sys.modules.pop("probes", None)


@pytest.fixture
def script(own_folder: Path, probes: Any, tools: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
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
    tools.kill_delivery(own_folder)


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


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """
    Install plugins as an installer leaves them, a module and a dist-info with an entry point, and return where.

    By the names in PLUGINS, or as `name=source` with a class called NameIntegration.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    done: list[str] = []

    def install(*names: str, **sources: str) -> Path:
        for name, source in {**{name: PLUGINS[name] for name in names}, **sources}.items():
            (site / f"plug_{name}.py").write_text(source)
            info = site / f"plug_{name}-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: plug-{name}\nVersion: 1.0\n")
            entry = f"{name} = plug_{name}:{name.title()}Integration\n"
            (info / "entry_points.txt").write_text(f"[refunc.integrations]\n{entry}")
            done.append(name)
        discovery.installed.cache_clear()
        return site

    yield install
    discovery.installed.cache_clear()
    for name in done:
        sys.modules.pop(f"plug_{name}", None)
        vars(refunc.logging).pop(f"{name.title()}Integration", None)
