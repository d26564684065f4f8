"""Runs of which a part is lost: a command that shows the rest says so, since a curve does not show what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from refunc.journal import opening
from refunc.logging import ExperimentTracker

pytestmark = pytest.mark.once

COMMANDS = [
    ["plot", "-m", "loss"],
    ["report"],
    ["report", "--group", "experiment_name"],
    ["compare"],
    ["export", "-o", "points.csv"],
    ["export", "-o", "groups.csv", "--group", "experiment_name"],
]


@pytest.fixture(autouse=True)
def runs(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Three runs of 20 steps."""
    monkeypatch.setenv("REFUNC_CACHE", "off")
    folders = {}
    for name in ("one", "two", "three"):
        with ExperimentTracker("e", name) as run:
            for step in range(20):
                run.log_metrics({"loss": 1 / (step + 1)}, step=step)
        assert run.folder is not None
        folders[name] = run.folder
    return folders


def segment_of(folder: Path) -> Path:
    [path] = (folder / "journal").iterdir()
    return path


def deny(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to open *path*. Faked, because root may read everything."""
    descriptor = opening._descriptor

    def asked(asked_path: Any) -> int:
        if Path(asked_path) == path:
            raise PermissionError(13, "Permission denied", str(path))
        return descriptor(asked_path)

    monkeypatch.setattr(opening, "_descriptor", asked)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_file_that_cannot_be_read_is_told(
    command: list[str], runs: dict[str, Path], invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deny(segment_of(runs["two"]), monkeypatch)

    result = invoke(command[0], "one", "two", *command[1:])

    whose = runs["two"].name[-8:]
    assert result.exit_code == 0
    assert (
        result.stderr == f"refunc: two ({whose}) is not whole: 1 line or file is damaged or unreadable, and left out\n"
    )


def test_lost_records_are_told_before_their_metric_is_missed(runs: dict[str, Path], invoke: Any) -> None:
    segment = segment_of(runs["two"])
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(line for line in lines if b'"metrics"' not in line))

    result = invoke("plot", "two", "-m", "loss")

    first, second = result.stderr.splitlines()
    assert "is not whole: 20 records are missing: no line has the number" in first
    assert "has no metric 'loss'" in second
    assert result.exit_code == 2


def test_of_several_such_runs_one_is_named(runs: dict[str, Path], invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "three"):
        deny(segment_of(runs[name]), monkeypatch)

    [line] = invoke("plot", "one", "two", "three", "-m", "loss").stderr.splitlines()

    assert line.startswith("refunc: one (")
    assert line.endswith(" (and 1 more such run)")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_of_whole_runs_nothing_is_told(command: list[str], invoke: Any) -> None:
    assert invoke(command[0], "one", "two", *command[1:]).stderr == ""
