"""
Fixtures of every test: an empty folder to run in, `require` for parts a machine lacks, and `tools` for processes.

And `clean_process`, for tests that use refunc in their own process; and fixtures for several processes: scripts (a
folder's `prelude` has the lines before them), the journals that they leave, and integrations that write down the calls
that they get.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clean_process import end_delivery, forget
from tests.tools import Tools
from tests.untrusted import Untrusted

with contextlib.suppress(ImportError):  # the rehearsal of a release runs without them
    import hypothesis

    from refunc.outlets import pump, turn

    # Its own deadline is 200 ms for each example, which a busy machine misses now and then.
    # Examples are many where most tests run, on 3.12 and 3.13; older interpreters are to show their own differences.
    examples = 100 if sys.version_info >= (3, 12) else 30
    hypothesis.settings.register_profile("refunc", deadline=None, max_examples=examples)
    hypothesis.settings.load_profile("refunc")

#: Modules with integrations that write down the calls that they get.
INTEGRATIONS = Path(__file__).parent / "integrations"
REQUIRE_ALL = bool(os.environ.get("REFUNC_REQUIRE_ALL"))


def pytest_configure(config: pytest.Config) -> None:
    """
    Keep the index and the key out of the user's own folders, and take signals as at a terminal.

    Who runs the tests in the background has their processes ignore some.
    """
    if importlib.util.find_spec("sqlalchemy") is not None:
        # MLflow leaves its connections to the collector, which from Python 3.13 on warns of them, amid any later test.
        config.addinivalue_line("filterwarnings", "ignore:unclosed database in <sqlite3:ResourceWarning")
    cache = tempfile.mkdtemp(prefix="refunc-cache-")
    os.environ["REFUNC_CACHE"] = cache
    atexit.register(shutil.rmtree, cache, ignore_errors=True)
    # And the key that proves whose runs are: runs of tests are proof of nothing.
    state = tempfile.mkdtemp(prefix="refunc-state-")
    os.environ["XDG_STATE_HOME"] = state
    atexit.register(shutil.rmtree, state, ignore_errors=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Have files whose tests take long begin first, if pytest-xdist hands files out to several processes.

    It would begin with the files that have the most tests. Those that take longest have few, and one process would be
    left with them at the end.
    """
    if not hasattr(config, "workerinput"):
        return
    files: dict[Path, tuple[int, int]] = {}
    for item in items:
        weight, count = files.get(item.path, (0, 0))
        own = 2 if item.get_closest_marker("crash") else 1 if item.get_closest_marker("slow") else 0
        files[item.path] = max(weight, own), count + 1
    items.sort(key=lambda item: (files[item.path], str(item.path)), reverse=True)


def pytest_collection_finish() -> None:
    """Have the collector pass over the tests themselves: to look through all that was collected takes 0.2 s."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """
    Have the output of a test be text that can be sent: pytest-xdist loses a worker over half a character.

    Under `REFUNC_REQUIRE_ALL`, a test that was skipped because a package is missing has failed.
    """
    report = yield
    if REQUIRE_ALL and report.skipped and "could not import" in str(report.longrepr):
        report.outcome = "failed"
    report.sections = [(name, said.encode("utf-8", "backslashreplace").decode()) for name, said in report.sections]
    return report


@pytest.fixture
def closed_behind(tmp_path: Path) -> Iterator[None]:
    """
    Close the journals and log files that a test has left open in its folder, before pytest deletes that.

    A thread would notice it a second later, and warn in the midst of another test.
    """
    yield
    for outlet in [*pump._pump.outlets.values()] if "refunc.outlets.pump" in sys.modules else ():
        folder = getattr(outlet, "folder", None)  # a run's, or that of log files
        if tmp_path in getattr(folder, "path", folder or Path()).parents:
            outlet.close()


@pytest.fixture(autouse=True)
def own_folder(closed_behind: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run each test in an empty folder, without the variables that a developer's shell may have set."""
    for name in [name for name in os.environ if name.startswith("REFUNC_") and name != "REFUNC_CACHE"]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    # A pytest that a test starts deletes folders of earlier ones at its end: those of all tests would take a minute.
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    if "refunc.outlets.turn" in sys.modules:
        # A call gives up a write that takes a second; on a busy machine with a slow disk, a usual one may.
        monkeypatch.setattr(turn, "WAIT", 30.0)
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
    """Run `refunc import … --json`; the result has `exit_code`, `stderr`, and `said`, the JSON that it printed."""
    testing = pytest.importorskip("click.testing")

    def imported(*arguments: object) -> Any:
        from refunc_commands.cli.root import refunc

        options = {"mix_stderr": False} if "mix_stderr" in testing.CliRunner.__init__.__code__.co_varnames else {}
        result = testing.CliRunner(**options).invoke(refunc, ["import", "--json", *map(str, arguments)])
        result.said = json.loads(result.stdout) if result.stdout.startswith("{") else None
        return result

    return imported


@pytest.fixture
def clean_process() -> Iterator[None]:
    """Leave no run, waiting line, warning memory or logger, and find none: not each test has this."""
    forget()
    yield
    forget()
    for name, logger in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and not name.startswith(("hypothesis", "asyncio", "concurrent")):
            logger.handlers.clear()
            if logger.level:  # to set one has logging look through all loggers, and there are more after each test
                logger.setLevel(logging.NOTSET)
    end_delivery()


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    return Tools


@pytest.fixture
def untrusted(require: Callable[[bool, str], None], tmp_path: Path) -> Iterator[Untrusted]:
    """Start a server that no client may tell anything."""
    require(shutil.which("openssl") is not None, "apt-get install openssl")
    found = Untrusted(tmp_path)
    yield found
    found.server.shutdown()
    found.server.server_close()


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

    def finish(code: str, *args: object, deadline: float = 100, **options: Any) -> tuple[int, str, str]:
        process = script(code, *args, **options)
        out, err = process.communicate(timeout=deadline)
        return process.returncode, out, err

    return finish


class Journal:
    """Reads back the records that scripts have logged."""

    @staticmethod
    def read(run: Any) -> tuple[list[Any], Any]:
        """Return all records of *run* and the account of the reading."""
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
def installed_from(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Import a module of the test's folder, and have its classes with hooks found there as an installed plugin's."""
    from refunc.plugins.discovery import installed
    from refunc.plugins.hooks import hooks_of
    from refunc.plugins.naming import name_of

    modules: list[str] = []

    def install(name: str) -> Any:
        monkeypatch.syspath_prepend(str(own_folder))
        sys.modules.pop(name, None)
        module = importlib.import_module(name)
        modules.append(name)
        kinds = [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == name]
        entries = [f"{name_of(kind)} = {name}:{kind.__name__}" for kind in kinds if hooks_of(kind)]
        metadata = own_folder / f"{name}-1.0.dist-info"
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("\n".join(["[refunc.integrations]", *entries, ""]))
        installed.cache_clear()
        return module

    yield install
    for name in modules:
        sys.modules.pop(name, None)
    installed.cache_clear()


@pytest.fixture
def probes(own_folder: Path, installed_from: Callable[[str], Any]) -> Any:
    """Put the module `probes` into the test's folder, as a plugin that is installed, and import it."""
    shutil.copy(INTEGRATIONS / "probes.py", own_folder)
    return installed_from("probes")


@pytest.fixture
def chatty(own_folder: Path, probes: Any) -> None:
    """Put the module `chatty` beside it: an integration that logs in its own hook, and its logger."""
    shutil.copy(INTEGRATIONS / "chatty.py", own_folder)


@pytest.fixture
def calls(own_folder: Path) -> Callable[..., list[dict[str, Any]]]:
    """Return the calls that a probe wrote down, of one hook or of all."""

    def read(hook: str | None = None, path: str = "calls.jsonl") -> list[dict[str, Any]]:
        file = own_folder / path
        # A line without its end is still being written, or was when its process was killed.
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return [call for call in found if hook is None or call["hook"] == hook]

    return read


@pytest.fixture
def launched(own_folder: Path) -> Callable[..., list[subprocess.CompletedProcess[str]]]:
    """Run a script as the ranks of a launch; see `tests.launched.run_ranks`."""
    from tests.launched import run_ranks

    return functools.partial(run_ranks, own_folder)


@pytest.fixture
def in_terminal() -> Callable[..., str]:
    """Return the output of a command on a terminal of so many columns, escape sequences and all."""
    pty = pytest.importorskip("pty")

    def run(*arguments: str, columns: int = 80, **environ: str) -> str:
        termios = pytest.importorskip("termios")
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, columns)) if hasattr(termios, "tcsetwinsize") else _set_size(theirs, columns)
        plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        process = subprocess.Popen(
            [sys.executable, "-m", "refunc", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**plain, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environ},
        )
        os.close(theirs)
        said = Tools.shown_on(ours)
        assert process.wait(60) == 0, said
        return said.decode().replace("\r\n", "\n")

    return run


def _set_size(terminal: int, columns: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
