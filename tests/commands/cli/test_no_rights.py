"""Runs that a user has no rights to read: nothing is concluded from unread files, and the others are not lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refunc.logging import MLLogger, experiment_context

pytestmark = [pytest.mark.extras, pytest.mark.once]

Powerless = Callable[..., tuple[int, str, str]]
_WITHOUT_POWERS = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]


@pytest.fixture
def powerless(require: Callable[[bool, str], None]) -> Powerless:
    """Run Python with these arguments as one whom file modes bind, root too; return exit code, output and errors."""
    is_root = os.name == "posix" and os.geteuid() == 0
    require(not is_root or shutil.which("setpriv") is not None, "apt-get install util-linux")

    def run(*arguments: str) -> tuple[int, str, str]:
        command = [*(_WITHOUT_POWERS if is_root else []), sys.executable, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def runs(own_folder: Path) -> Iterator[dict[str, Path]]:
    """Two completed runs, `mine` and `theirs`; folders that a test closes are opened again."""
    found = {}
    for name in ("mine", "theirs"):
        with experiment_context("e", name, logger=MLLogger("train", "CRITICAL")) as tracker:
            tracker.log_metrics({"loss": 1.0})
        assert tracker.folder is not None
        found[name] = tracker.folder
    yield found
    for folder in found.values():
        if folder.exists():
            folder.chmod(0o755)
            (folder / "journal").chmod(0o755)


def close(path: Path) -> None:
    path.chmod(0)


def statuses(powerless: Powerless) -> dict[str, str]:
    code, out, err = powerless("-m", "refunc", "ls", "--json")
    assert (code, err) == (0, "")
    return {run["run_name"]: run["status"] for run in json.loads(out)}


def test_a_run_whose_segment_cannot_be_read_has_not_crashed(powerless: Powerless, runs: dict[str, Path]) -> None:
    [segment] = (runs["theirs"] / "journal").iterdir()
    close(segment)

    assert statuses(powerless) == {"mine": "completed", "theirs": "unreadable"}
    code, out, _ = powerless("-m", "refunc", "gc", "--status", "crashed", "--delete", "--yes")
    assert (code, "removed" in out) == (0, False)
    code, out, _ = powerless("-m", "refunc", "gc", "--status", "unreadable", "--delete", "--yes")
    assert "its journal cannot be read" in out
    assert runs["theirs"].exists()
    asked = "from refunc.runs import open_store; print([row['status'] for row in open_store().to_rows()])"
    assert powerless("-c", asked) == (0, "['completed', 'unreadable']\n", "")
    assert "Check its permissions" in powerless("-m", "refunc", "doctor")[1]

    segment.chmod(0o644)
    assert statuses(powerless) == {"mine": "completed", "theirs": "completed"}


def test_the_values_of_a_run_are_read_once_there_are_rights_though_no_file_has_changed(
    powerless: Powerless, runs: dict[str, Path]
) -> None:
    [segment] = (runs["theirs"] / "journal").iterdir()
    asked = ["-m", "refunc", "ls", "--where", "metrics.loss == 1", "--json"]
    close(segment)
    assert [run["run_name"] for run in json.loads(powerless(*asked)[1])] == ["mine"]

    segment.chmod(0o644)
    assert sorted(run["run_name"] for run in json.loads(powerless(*asked)[1])) == ["mine", "theirs"]


def test_a_run_whose_journal_is_closed_does_not_cost_the_others(powerless: Powerless, runs: dict[str, Path]) -> None:
    close(runs["theirs"] / "journal")

    assert statuses(powerless) == {"mine": "completed", "theirs": "unreadable"}
    code, out, err = powerless("-m", "refunc", "export", "-o", "-", "--to", "csv")
    assert (code, out.count("mine"), "left out" in err) == (0, 1, True)
    code, out, err = powerless("-m", "refunc", "export", "--entries", "-o", "-", "--to", "csv")
    assert (code, "theirs" in out, "left out" in err) == (0, False, True)
    code, out, err = powerless("-m", "refunc", "gc")
    assert (code, err) == (0, "")
    code, out, err = powerless("-m", "refunc", "sync")
    assert (code, "left out" in err) == (1, True)
    asked = "from refunc.runs import open_store; print([(run.run_name, run.status) for run in open_store()])"
    assert powerless("-c", asked) == (0, "[('mine', 'completed'), ('theirs', 'unreadable')]\n", "")
    asked = "from refunc.runs import open_store; print([row['status'] for row in open_store().to_rows()])"
    assert powerless("-c", asked) == (0, "['completed', 'unreadable']\n", "")


@pytest.mark.parametrize("part", ["folder", "journal"])
@pytest.mark.parametrize(
    "command",
    [
        ["report", "-o", "-", "-n", "2"],
        ["report", "-o", "-", "--group", "run_name"],
        ["plot", "-m", "loss", "-n", "2", "--json"],
        ["plot", "-m", "loss", "--group", "run_name", "--json"],
        ["compare", "-n", "2", "--json"],
        ["compare", "--group", "run_name", "--json"],
    ],
    ids=" ".join,
)
def test_a_closed_run_among_many_is_left_out_and_told_of(
    powerless: Powerless, runs: dict[str, Path], command: list[str], part: str
) -> None:
    close(runs["theirs"] / part if part == "journal" else runs["theirs"])

    code, out, err = powerless("-m", "refunc", *command)

    assert (code, "mine" in out, "theirs" in out) == (0, True, False)
    assert err.startswith(f"refunc: left out: {runs['theirs']}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        ["report", "-o", "file"],
        ["plot", "-m", "loss"],
        ["compare"],
        ["export", "-o", "file", "--to", "csv"],
        ["export", "-o", "file", "--to", "csv", "--group", "run_name"],
        ["export", "-o", "file", "--to", "csv", "--entries"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("named", [["theirs"], ["mine", "theirs"], ["theirs", "--where", "True"]], ids=" ".join)
def test_a_closed_run_that_was_named_is_an_error(
    powerless: Powerless, runs: dict[str, Path], command: list[str], named: list[str]
) -> None:
    close(runs["theirs"] / "journal")

    code, out, err = powerless("-m", "refunc", *command, *named)

    assert (code, out, "theirs" in err and "Permission denied" in err) == (2, "", True)
    assert not Path("file").exists()


def test_a_run_whose_folder_is_closed_is_told_of(powerless: Powerless, runs: dict[str, Path], own_folder: Path) -> None:
    close(runs["theirs"])
    (own_folder / "experiments" / "lost+found").mkdir(mode=0)  # which is no run

    code, out, err = powerless("-m", "refunc", "ls", "--json")

    assert [run["run_name"] for run in json.loads(out)] == ["mine"]
    assert (code, err.count("left out"), "lost+found" in err) == (0, 1, False)
    advice = powerless("-m", "refunc", "doctor")[1]
    assert ("Check its permissions" in advice, "remove" in advice) == (True, False)
    (own_folder / "experiments" / "lost+found").chmod(0o755)


def test_a_run_that_cannot_be_written_to_is_not_annotated(powerless: Powerless, runs: dict[str, Path]) -> None:
    runs["theirs"].chmod(0o555)

    for command in (("tag", "theirs", "mine", "best=yes"), ("rm", "theirs")):
        code, out, err = powerless("-m", "refunc", *command)
        said = f"refunc: {runs['theirs']}: its annotations cannot be written (Permission denied)\n"
        assert (code, "theirs" in out, err) == (1, False, said)

    assert [path.parent.name for path in runs["mine"].parent.glob("*/annotations.json")] == [runs["mine"].name]
