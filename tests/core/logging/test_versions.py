"""The commit and the packages that `run.json` names: read from files of git and from loaded modules, or left out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from refunc.logging import ExperimentTracker
from refunc.logging.active import versions
from refunc.runs import open_store

pytestmark = pytest.mark.once


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "topic/one")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


def packed(folder: Path) -> Path:
    git(folder, "tag", "v1")
    git(folder, "pack-refs", "--all")
    return folder


def detached(folder: Path) -> Path:
    git(folder, "checkout", "-q", "--detach")
    return folder


def worktree(folder: Path) -> Path:
    git(folder, "worktree", "add", "-q", "-b", "other", str(folder.parent / "beside"))
    git(folder.parent / "beside", "commit", "-q", "--allow-empty", "-m", "second")
    return folder.parent / "beside"


def worktree_of_packed(folder: Path) -> Path:
    beside = worktree(folder)
    packed(folder)
    return beside


def below(folder: Path) -> Path:
    (folder / "a" / "b").mkdir(parents=True)
    return folder / "a" / "b"


@pytest.mark.parametrize("form", [lambda folder: folder, packed, detached, worktree, worktree_of_packed, below])
def test_the_commit_is_gits(form: Callable[[Path], Path], repository: Path) -> None:
    folder = form(repository)

    assert versions.commit_of(str(folder)) == git(folder, "rev-parse", "HEAD")


HASH = "a" * 40


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"HEAD": "ref: refs/heads/main\n"},
        {"HEAD": "ref: ../secret\n", "../secret": HASH},
        {"HEAD": "ref: refs/../../secret\n", "../secret": HASH},
        {"HEAD": "ref: refs/heads/.invalid\n"},  # as with reftables
        {"HEAD": "x" * 40},
        {"HEAD": HASH + "b"},
        {"HEAD": "a" * 100_000},
        {"HEAD": "ref: refs/heads/main\n", "packed-refs": f"{HASH} refs/heads/main2\n{'b' * 7} refs/heads/main\n"},
        {"HEAD": "\ud800".encode(errors="surrogatepass").decode("latin-1")},
    ],
    ids=str,
)
def test_what_is_no_commit_is_left_out(files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name, text in files.items():
        (tmp_path / ".git" / name).write_text(text, encoding="latin-1")

    assert versions.commit_of(str(tmp_path)) is None


def test_a_pipe_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    os.mkfifo(tmp_path / ".git" / "HEAD")

    assert versions.commit_of(str(tmp_path)) is None
    assert versions.commit_of(str(tmp_path / "no" / "such")) is None


def test_versions_are_those_of_loaded_modules_and_ask_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was asked for")

    class Version(str):
        """As torch has it."""

        def __str__(self) -> str:
            raise AssertionError

    torch, jax, scipy = ModuleType("torch"), Lazy("jax"), ModuleType("scipy")
    torch.__dict__["__version__"], scipy.__dict__["__version__"] = Version("2.9.0+cu130"), b"1"
    for name in versions.PACKAGES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    for module in (torch, jax, scipy):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, "numpy", None)

    assert versions.packages() == {"torch": "2.9.0+cu130"}
    assert type(versions.packages()["torch"]) is str


SCRIPT = """
import sys, types
torch = types.ModuleType("torch"); torch.__version__ = "2.9.0"; sys.modules["torch"] = torch
import subprocess
subprocess.Popen = None
from refunc.logging import experiment_context
with experiment_context("digits", log_dir="runs") as run:
    pass
"""


def test_a_run_names_both_without_starting_a_process(repository: Path, tmp_path: Path) -> None:
    (repository / "train.py").write_text(SCRIPT)
    (tmp_path / "elsewhere").mkdir()
    subprocess.run([sys.executable, repository / "train.py"], cwd=tmp_path / "elsewhere", check=True)

    [run] = open_store(tmp_path / "elsewhere" / "runs").runs()
    birth = json.loads((run.folder / "run.json").read_text())
    assert (birth["commit"], birth["packages"]) == (git(repository, "rev-parse", "HEAD"), {"torch": "2.9.0"})
    assert (run.to_dict()["commit"], run.to_dict()["packages"]) == (birth["commit"], birth["packages"])


def test_strange_packages_in_run_json_are_left_out(tmp_path: Path) -> None:
    with ExperimentTracker("digits", log_dir=tmp_path):
        pass
    [run] = open_store(tmp_path).runs()
    path = run.folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "packages": {"torch": "2", "numpy": 3, "x": None}}))
    assert open_store(tmp_path).runs()[0].to_dict()["packages"] == {"torch": "2"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "packages": "torch"}))
    assert open_store(tmp_path).runs()[0].to_dict()["packages"] == {}
