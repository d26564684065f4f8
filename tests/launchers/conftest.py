"""Fixtures that the tests with real launchers share: a launcher's command is run to its end, and its runs are read."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.launchers.reading import Finished, Launched

HERE = Path(__file__).parent
#: Seconds after which a launcher hangs.
DEADLINE = 540.0
#: Variables of a launcher that started these tests.
_OF_LAUNCHERS = (
    "SLURM",
    "OMPI",
    "PMI",
    "TORCHELASTIC",
    "SUBMITIT",
    "ACCELERATE",
    "MASTER_",
    "RANK",
    "LOCAL_",
    "WORLD_",
)
#: Each rank gets one thread for its arithmetic, as torchrun gives it; gloo needs no network.
_FOR_RANKS = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONUNBUFFERED": "1"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Mark all that lies here, before `-m` chooses; so no file can forget it.

    Several processes import torch, which takes each some seconds of a processor, and there may be half a one for all.
    """
    for item in items:
        if item.nodeid.startswith("tests/launchers/"):
            item.add_marker(pytest.mark.launchers)
            item.add_marker(pytest.mark.timeout(DEADLINE + 60))


@pytest.fixture
def needs(require: Callable[[bool, str], None]) -> Callable[..., None]:
    """Skip the test unless these modules, and these programs of Debian packages, are there."""

    def needs(*modules: str, **programs: str) -> None:
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        require(not missing, "pip install --group launchers")
        for program, package in programs.items():
            require(shutil.which(program) is not None, f"apt-get install {package}")

    return needs


def environment(**variables: str) -> dict[str, str]:
    """Return this process's variables without those of a launcher, with the interpreter's own programs first."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_OF_LAUNCHERS)}
    return {**own, **_FOR_RANKS, "PATH": f"{Path(sys.executable).parent}:{own.get('PATH', '')}", **variables}


class Launcher:
    """A process that starts others in *folder*; their output is in files, since some may outlive it."""

    def __init__(self, command: list[str], environ: dict[str, str], folder: Path, number: int) -> None:
        self.folder = folder
        self.said = [folder / f"launcher{number}.{stream}" for stream in ("out", "err")]
        with self.said[0].open("wb") as out, self.said[1].open("wb") as err:
            self.process = subprocess.Popen(command, env=environ, stdout=out, stderr=err)

    def finished(self) -> Finished:
        returncode = self.process.wait(DEADLINE)
        return Finished(returncode, *(path.read_text("utf-8", "backslashreplace") for path in self.said))

    def kill_all(self) -> None:
        """Kill it and all that works in its folder: some launchers put each rank into a session of its own."""
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if int(entry.name) != os.getpid() and os.readlink(entry / "cwd") == str(self.folder.resolve()):
                    os.kill(int(entry.name), signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(own_folder: Path) -> Iterator[Callable[..., Launcher]]:
    """Start a launcher; at the test's end all that is left of it is killed."""
    started: list[Launcher] = []

    def start(*command: object, **variables: str) -> Launcher:
        started.append(Launcher(list(map(str, command)), environment(**variables), own_folder, len(started)))
        return started[-1]

    yield start
    for launcher in started:
        launcher.kill_all()


@pytest.fixture
def launched(start: Callable[..., Launcher]) -> Launched:
    """Run a launcher to its end, and return its output. It has to end well, unless told otherwise."""

    def launched(*command: object, fails: bool = False, **variables: str) -> Finished:
        done = start(*command, **variables).finished()
        assert (done.returncode != 0) is fails, f"{done.out}\n{done.err}"
        return done

    return launched


@pytest.fixture
def script() -> Callable[[str], Path]:
    """Return the path of one of the scripts here."""
    return lambda name: HERE / "scripts" / name
