"""
Tests that use refunc in their own process leave it as they found it.

And tools that tests of several packages share: training scripts, runs made by hand, installed plugins, and processes
that hold locks.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import refunc.logging
from refunc.logging.active.opening import new_run
from refunc.logging.active.run import ActiveRun
from refunc.plugins import discovery
from refunc.processes.opener import began_of

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
#: Holds the locks on the files that it is told of, until its stdin ends. Opened for reading: that is enough.
_HOLDER = """
import fcntl, os, sys
for line in sys.stdin:
    fcntl.flock(os.open(line[:-1], os.O_RDONLY), fcntl.LOCK_EX)
    print("held", flush=True)
"""


@pytest.fixture(autouse=True)
def leaves_nothing(clean_process: None) -> None:
    """Have `clean_process` for every test."""


@pytest.fixture
def prelude(probes: Any) -> str:
    """Put before the scripts of all tests here: a logger that speaks, and the integrations of `probes`."""
    return PRELUDE


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
def training_in_outage(script: Callable[..., Any], own_folder: Path, tools: Any) -> None:
    """Start a training whose run `live` goes on, and whose tracker is down, as its delivery process has seen."""
    (own_folder / "down").touch()
    script("""
        log.add_integration(ProbeIntegration())
        with experiment_context("exp", "live"):
            log.log_metrics({"a": 1}); log.flush(); time.sleep(60)
    """)
    tools.until(lambda: list((own_folder / "experiments").glob("*/delivery/probe-*.json")))


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


class Process:
    """A process that lives until the test ends, or `end` is called."""

    def __init__(self, *before: str) -> None:
        self.popen = subprocess.Popen(
            [*before, sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.began = began_of(self.popen.pid)

    def hold(self, path: Path) -> None:
        assert self.popen.stdin
        assert self.popen.stdout
        self.popen.stdin.write(f"{path}\n")
        self.popen.stdin.flush()
        assert self.popen.stdout.readline() == "held\n"

    def end(self) -> None:
        self.popen.communicate()


@pytest.fixture
def process() -> Iterator[Callable[..., Process]]:
    """Start a process; see `Process`."""
    started: list[Process] = []

    def start(*before: str) -> Process:
        started.append(Process(*before))
        return started[-1]

    yield start
    for each in started:
        each.end()
