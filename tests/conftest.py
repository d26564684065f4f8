"""
What every test has: an empty folder to run in, `require` for parts a machine lacks, and `tools` for processes.

And `clean_process`, for tests that use refunc in their own process; and what tests of several processes share: scripts
(a folder's `prelude` says what stands before them), the journals that they leave, and integrations that write down what
they get.
"""

from __future__ import annotations

import atexit
import importlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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

REQUIRE_ALL = bool(os.environ.get("REFUNC_REQUIRE_ALL"))


def pytest_configure() -> None:
    """
    Keep the index out of the user's own cache, and take signals as at a terminal.

    Who runs the tests in the background has their processes ignore some.
    """
    cache = tempfile.mkdtemp(prefix="refunc-cache-")
    os.environ["REFUNC_CACHE"] = cache
    atexit.register(shutil.rmtree, cache, ignore_errors=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run each test in an empty folder, without the variables that a developer's shell may have set."""
    for name in [name for name in os.environ if name.startswith("REFUNC_")]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def require() -> Callable[[bool, str], None]:
    """Skip the test unless a part is there; under `REFUNC_REQUIRE_ALL`, as in CI, fail instead."""

    def require(present: bool, install: str) -> None:
        if present:
            return
        message = f"this machine lacks a part; install it with: {install}"
        if REQUIRE_ALL:
            pytest.fail(message)
        pytest.skip(message)

    return require


@pytest.fixture
def imported() -> Callable[..., Any]:
    """Run `refunc import … --json`; the result has `exit_code`, `stderr`, and `said`, what it printed."""
    testing = pytest.importorskip("click.testing")

    def imported(*arguments: object) -> Any:
        from refunc.cli.root import refunc

        options = {"mix_stderr": False} if "mix_stderr" in testing.CliRunner.__init__.__code__.co_varnames else {}
        result = testing.CliRunner(**options).invoke(refunc, ["import", "--json", *map(str, arguments)])
        result.said = json.loads(result.stdout) if result.stdout.startswith("{") else None
        return result

    return imported


@pytest.fixture
def clean_process() -> Iterator[None]:
    """Leave no run, waiting line, warning memory or logger behind for the next test."""
    import refunc.logging
    from refunc.logging import current, logfile, report, setup

    yield
    for run in reversed(list(current.open_runs())):
        current.finish(run, "completed")
    current.loose_lines.clear()
    report._said.clear()
    report._said_of_kind.clear()
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


class Tools:
    """What tests of several processes share; in importlib mode no test file can import another."""

    @staticmethod
    def until(condition: Callable[[], Any], deadline: float = 30.0) -> Any:
        """Come back with what *condition* gives as soon as that is true; fail after *deadline* seconds."""
        end = time.monotonic() + deadline
        while not (value := condition()):
            assert time.monotonic() < end, "the condition did not come true in time"
            time.sleep(0.01)
        return value

    @staticmethod
    def free_port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    @staticmethod
    def delivery_pids(folder: Path) -> list[int]:
        """Return the delivery processes that work for *folder*, by their working folder and their program."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                is_delivery = b"refunc.delivery.process" in (entry / "cmdline").read_bytes()
                if is_delivery and os.readlink(entry / "cwd") == str(folder.resolve()):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    @classmethod
    def kill_delivery(cls, folder: Path) -> int:
        """Kill the delivery processes that work for *folder*; return how many there were."""
        pids = cls.delivery_pids(folder)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return len(pids)


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    return Tools


@pytest.fixture
def script(own_folder: Path, prelude: str, tools: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python code as a process; at the test's end it is killed, and so are its delivery processes."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *args: object, prelude: str = prelude, **environment: str) -> subprocess.Popen[str]:
        path = own_folder / f"script{len(started)}.py"
        path.write_text(prelude + textwrap.dedent(code), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path), *map(str, args)],
            env={**os.environ, "PYTHONFAULTHANDLER": "1", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
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
    """Run Python code to its end, within a deadline, and return its exit code, output and errors."""

    def finish(code: str, *args: object, deadline: float = 40, **options: Any) -> tuple[int, str, str]:
        process = script(code, *args, **options)
        out, err = process.communicate(timeout=deadline)
        return process.returncode, out, err

    return finish


class Journal:
    """Reads back what scripts have logged."""

    @staticmethod
    def read(run: Any) -> tuple[list[Any], Any]:
        """Return all records of *run* and what was met besides."""
        from refunc.journal.reader import Account

        account = Account()
        return list(run.records(account)), account

    @staticmethod
    def values(records: list[Any], name: str) -> list[Any]:
        """Return the values of the metric *name*, in the order of the journal."""
        from refunc.journal.record import Metrics

        return [record.metrics[name] for record in records if isinstance(record, Metrics) and name in record.metrics]


@pytest.fixture(scope="session")
def journal() -> type[Journal]:
    return Journal


@pytest.fixture
def only_run(own_folder: Path) -> Callable[[], Any]:
    """Return the one run in the test's store."""
    from refunc.runs.store import open_store

    def read() -> Any:
        runs = list(open_store(own_folder / "experiments"))
        assert len(runs) == 1, [run.folder.name for run in runs]
        return runs[0]

    return read


@pytest.fixture
def probes(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Put the module `probes` into the test's folder, and import it."""
    (own_folder / "probes.py").write_text(PROBES)
    monkeypatch.syspath_prepend(str(own_folder))
    sys.modules.pop("probes", None)
    yield importlib.import_module("probes")
    sys.modules.pop("probes", None)


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
