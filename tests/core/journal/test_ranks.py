"""The files in `ranks/`: which count, and that a stranger's cost a bounded amount and hide nothing."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ranked import ranked

from refunc.journal import alive, opening, ranks
from refunc.journal.alive import life_of
from refunc.journal.ranks import rank_files
from refunc.journal.roles import Role
from refunc.runs import Run

pytestmark = pytest.mark.once


def roles(folder: Path) -> list[Role]:
    return [file.role for file in rank_files(folder)]


def test_only_regular_files_with_the_names_of_ranks_count(tmp_path: Path) -> None:
    folder = tmp_path / "ranks"
    folder.mkdir()
    for name in ("1.0.json", "1.10.json", "1.2.json", "10.0.json"):
        (folder / name).write_text("{}")
    for name in ("01.0.json", "0.0.json", "1.00.json", "1.².json", "1.3.js", "1.4.json.bak", ".1.5.json"):
        (folder / name).write_text("{}")
    os.mkfifo(folder / "2.0.json")
    os.symlink(folder / "1.0.json", folder / "2.1.json")
    (folder / "2.2.json").mkdir()
    (folder / "1000000.0.json").touch()

    assert roles(tmp_path) == [Role(1, 0), Role(1, 2), Role(1, 10), Role(10, 0)]
    assert [file.path.name for file in rank_files(tmp_path)] == ["1.0.json", "1.2.json", "1.10.json", "10.0.json"]


@pytest.mark.parametrize("kind", ["link", "file", "pipe", "nothing"])
def test_a_run_reads_as_without_them_if_ranks_is_no_folder(kind: str, tmp_path: Path) -> None:
    folder, elsewhere = ranked("store"), ranked("other")
    for path in (folder / "ranks").iterdir():
        path.unlink()
    (folder / "ranks").rmdir()
    match kind:
        case "link":
            os.symlink((elsewhere / "ranks").absolute(), folder / "ranks")
        case "file":
            (folder / "ranks").touch()
        case "pipe":
            os.mkfifo(folder / "ranks")

    run = Run.open(folder)

    assert rank_files(folder) == []
    assert (run.status, run.ranks, len(run.metrics("loss", rank=3))) == ("completed", [0, 1, 2, 3], 20)
    assert [entry.rank for entry in run.entries()].count(3) > 20


@pytest.mark.parametrize(
    "text", ["", "null", "[" * 60_000, "1" * 60_000, '{"a": ' + "9" * 5_000 + "}", "{" + " " * 70_000 + "}", "\x00"]
)
def test_a_file_that_no_rank_wrote_has_no_facts(text: str, tmp_path: Path) -> None:
    folder = ranked("store")
    (folder / "ranks" / "2.3.json").write_text(text)

    [file] = [file for file in rank_files(folder) if file.role == Role(2, 3)]

    assert file.facts() == {}
    run = Run.open(folder)
    assert run.to_dict()["ranks"][3]["host"] == "node1"
    assert run.status == "completed"


def test_the_names_that_are_looked_at_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ranks").mkdir()
    for number in range(300):
        (tmp_path / "ranks" / f"1.{number}.json").touch()
    monkeypatch.setattr(ranks, "_MOST_NAMES", 100)
    assert len(rank_files(tmp_path)) == 100


def test_the_processes_that_are_asked_about_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ranked("store", ranks=8, attempts=1)
    asked: list[str] = []

    def refuse(path: Path) -> None:
        asked.append(path.name)
        raise OSError

    monkeypatch.setattr(alive, "_MOST_ASKED", 3)
    monkeypatch.setattr(alive, "LockProbe", refuse)
    life_of(folder)
    assert asked == ["1.0.json", "1.1.json", "1.2.json"]


def test_a_list_of_names_is_kept_until_the_folder_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ranks"
    folder.mkdir()
    (folder / "1.0.json").touch()
    lists: list[object] = []
    whole: Callable[..., list[str]] = opening.first_files_in
    monkeypatch.setattr(ranks, "first_files_in", lambda *given: lists.append(given) or whole(*given))

    for _ in range(3):
        assert roles(tmp_path) == [Role(1, 0)]
    assert len(lists) == 3, "it has just changed"
    os.utime(folder, (1e9, 1e9))
    for _ in range(3):
        assert roles(tmp_path) == [Role(1, 0)]
    assert len(lists) == 4
    (folder / "1.1.json").write_text(json.dumps({}))
    assert roles(tmp_path) == [Role(1, 0), Role(1, 1)]


def test_a_run_is_over_when_all_ranks_have_ended_even_if_their_processes_cannot_be_seen() -> None:
    run = Run.open(ranked("store", start=time.time() - 1_100))
    assert life_of(run.folder).lives, "its last record is of the last hour"
    assert (run.status, run.glance().status, run.to_dict()["status"]) == ("completed",) * 3


def test_a_run_goes_on_while_a_rank_without_an_end_may_live() -> None:
    folder = ranked("store", start=time.time() - 1_100)
    path = next((folder / "journal").glob("*_r2a2.*"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert Run.open(folder).status == "running"
