"""`refunc gc`: it lists all that takes space; it removes only chosen files of the store that are not in use."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker
from refunc.runs import open_store

pytestmark = [pytest.mark.once, pytest.mark.extras]


def make(name: str, *, age: float = 0.0, status: str = "completed", experiment: str = "images") -> Path:
    """Make a run that began *age* days ago."""
    tracker = ExperimentTracker(experiment, name)
    tracker.start_run()
    tracker.log_metrics({"loss": 0.5})
    folder = tracker.folder
    assert folder is not None
    if status == "crashed":
        copy = folder.with_name(f"{folder.name}-copy")
        shutil.copytree(folder, copy)  # no process holds this one
        tracker.end_run()
        shutil.rmtree(folder)
        folder = copy
    else:
        tracker.end_run(status)
    birth = json.loads((folder / "run.json").read_text())
    birth["start_time"] -= age * 86_400
    (folder / "run.json").write_text(json.dumps(birth))
    return folder


def names() -> list[str]:
    return sorted(run.run_name for run in open_store())


def aged(path: Path) -> Path:
    os.utime(path, (time.time() - 7_200,) * 2)
    return path


def test_without_a_choice_it_only_tells(invoke: Any) -> None:
    folders = [make("a"), make("b", status="crashed")]

    result = invoke("gc")
    said = json.loads(invoke("gc", "--json").stdout)

    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 completed run\n" in result.stdout
    assert "1 crashed run\n" in result.stdout
    assert said["size"] - said["index"] == sum(
        path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file()
    )
    assert (said["runs"], said["chosen"], said["removed"]) == (2, [], [])


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        (["--status", "crashed"], ["crashed new", "crashed old"]),
        (["--status", "crashed", "--older-than", "30d"], ["crashed old"]),
        (["--older-than", "30d"], ["crashed old", "old"]),
        (["--status", "crashed", "--status", "completed", "--older-than", "30d"], ["crashed old", "old"]),
        (["--experiment", "words"], ["other"]),
        (["--status", "failed"], []),
    ],
)
def test_all_conditions_have_to_hold(invoke: Any, options: list[str], gone: list[str]) -> None:
    make("new")
    make("old", age=40)
    make("crashed new", status="crashed")
    make("crashed old", age=40, status="crashed")
    make("other", experiment="words")
    before = names()

    dry = json.loads(invoke("gc", "--json", *options).stdout)
    assert names() == before

    wet = json.loads(invoke("gc", "--json", *options, "--delete", "--yes").stdout)
    assert names() == sorted({*before} - {*gone})
    assert sorted(piece["path"] for piece in dry["chosen"]) == sorted(piece["path"] for piece in wet["removed"])
    assert not list(Path("experiments").glob(".gc-*"))


def test_a_running_run_is_never_removed(invoke: Any) -> None:
    tracker = ExperimentTracker("images", "live")
    tracker.start_run()

    result = invoke("gc", "--older-than", "0s", "--status", "running", "--delete", "--yes", "--json")

    assert (result.exit_code, json.loads(result.stdout)["removed"]) == (0, [])
    assert names() == ["live"]
    tracker.end_run()


def test_a_run_that_is_locked_is_kept_whatever_it_says(invoke: Any, own_folder: Path) -> None:
    """As where a child of a run that has ended still holds it, or a user copies it and locks it for that."""
    from refunc.outlets.locks import lock

    folder = make("held")
    fd = os.open(folder / "run.json", os.O_RDWR)
    lock(fd)
    try:
        said = json.loads(invoke("gc", "--older-than", "0s", "--delete", "--yes", "--json").stdout)
    finally:
        os.close(fd)

    assert [piece["reason"] for piece in said["kept"]] == ["it is running"]
    assert names() == ["held"]


def test_what_is_not_delivered_is_kept_unless_it_is_asked_for(invoke: Any, own_folder: Path) -> None:
    """An integration that another user's run asks for keeps nothing: nobody here delivers to it."""
    from refunc.journal.codec import encode_line
    from refunc.journal.provenance import mac_of_attach

    folder = make("undelivered")
    (segment,) = (folder / "journal").iterdir()
    asked = {
        "name": "mlflow",
        "key": "mlflow-1",
        "path": "nowhere:Nothing",
        "options": {},
        "target": "",
        "withheld": [],
    }
    mac = mac_of_attach(json.loads((folder / "run.json").read_text())["run_id"], asked)
    others = {**asked, "name": "other", "key": "other-1"}
    with open(segment, "ab") as file:
        file.write(encode_line({"seq": 98, "time": 0.0, "kind": "attach", **others}))
        file.write(encode_line({"seq": 99, "time": 0.0, "kind": "attach", **asked, "mac": mac}))

    said = json.loads(invoke("gc", "--older-than", "0s", "--delete", "--yes", "--json").stdout)
    assert said["kept"][0]["reason"].startswith("mlflow has not received all of it")

    invoke("gc", "--older-than", "0s", "--undelivered", "--delete", "--yes")
    assert names() == []


def test_nothing_outside_of_the_store_is_removed(invoke: Any, own_folder: Path) -> None:
    elsewhere = own_folder / "elsewhere"
    elsewhere.mkdir()
    run = make("linked")
    os.rename(run, elsewhere / "run")
    os.symlink(elsewhere / "run", run)
    inside = make("with a link")
    (elsewhere / "precious").write_text("precious")
    os.symlink(elsewhere, inside / "link")
    os.symlink(elsewhere, own_folder / "experiments" / ".import-abcdefgh")

    result = invoke("gc", "--older-than", "0s", "--drafts", "--delete", "--yes")

    assert result.exit_code == 0
    assert (elsewhere / "precious").read_text() == "precious"
    assert (elsewhere / "run" / "run.json").exists()
    assert run.is_symlink()
    assert not inside.exists()


def test_drafts_that_nobody_works_on_are_removed(invoke: Any, own_folder: Path) -> None:
    from refunc.outlets.locks import lock

    folder = make("a")
    (folder / "artifacts").mkdir()
    store = own_folder / "experiments"
    begun = [folder / ".run.json.abcdefgh.refunc.tmp", folder / "artifacts" / ".model.pt.abcdefgh.refunc.tmp"]
    for path in begun:
        path.write_bytes(b"x" * 1_000)
        aged(path)
    (store / ".import-killed01" / "run").mkdir(parents=True)
    (store / ".import-killed01" / "run" / "run.json").write_text("{}")
    shutil.copytree(store / ".import-killed01", store / ".import-atwork01")
    kept = [folder / ".gitignore", folder / ".DS_Store", folder / "artifacts" / ".nfs0001", store / ".import-atwork01"]
    kept[1].touch()
    kept[2].touch()
    for path in (*kept, store / ".import-killed01"):
        aged(path)
    fresh = folder / "artifacts" / ".model.pt.zzzzefgh.refunc.tmp"
    fresh.touch()
    fd = os.open(store / ".import-atwork01" / "run" / "run.json", os.O_RDWR)
    lock(fd)
    try:
        said = json.loads(invoke("gc", "--drafts", "--delete", "--yes", "--json").stdout)
    finally:
        os.close(fd)

    assert {Path(piece["path"]) for piece in said["removed"]} == {*begun, store / ".import-killed01"}
    assert all(path.exists() for path in (*kept, fresh))
    assert names() == ["a"]


def test_the_index_goes_and_comes_again(invoke: Any) -> None:
    make("a")
    listed = invoke("ls").stdout
    assert json.loads(invoke("gc", "--json").stdout)["index"] > 0

    said = json.loads(invoke("gc", "--index", "--delete", "--yes", "--json").stdout)

    assert said["removed"]
    assert not any(Path(piece["path"]).exists() for piece in said["removed"])
    assert invoke("ls").stdout == listed
    assert names() == ["a"]


@pytest.mark.parametrize(
    "options", [["--delete"], ["--delete", "--yes"], ["--status", "crashed", "--delete"], ["--older-than", "soon"]]
)
def test_a_mistake_exits_with_2_and_removes_nothing(invoke: Any, options: list[str]) -> None:
    make("b", status="crashed")

    result = invoke("gc", *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert names() == ["b"]


@pytest.mark.parametrize(("answer", "left"), [("y", []), ("n", ["b"]), ("", ["b"])])
def test_on_a_terminal_it_asks(answer: str, left: list[str]) -> None:
    pty = pytest.importorskip("pty")
    make("b", status="crashed")
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())

    done = subprocess.run(
        [sys.executable, "-m", "refunc", "gc", "--status", "crashed", "--delete"],
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=60,
    )
    os.close(ours)
    os.close(theirs)

    assert done.returncode == 0, done.stderr
    assert "Remove 1 run and 0 other files" in done.stderr
    assert names() == left


def test_folders_that_cannot_be_read_as_runs_are_told_of(invoke: Any) -> None:
    (make("b", status="crashed") / "run.json").write_text("{")

    result = invoke("gc", "--status", "crashed")

    assert "no runs or files match" in result.stdout
    assert re.fullmatch(r"refunc: left out: .*run\.json cannot be read.*\n", result.stderr)


def test_what_cannot_be_removed_is_a_failure(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faked, because root may remove everything."""
    make("b", status="crashed")

    def denied(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("refunc_commands.upkeep.space.os.rename", denied)

    result = invoke("gc", "--status", "crashed", "--delete", "--yes", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["failed"][0]["reason"] == "Permission denied"
    assert names() == ["b"]
    assert not list(Path("experiments").glob(".gc-*"))


def test_hostile_names_print_harmless(invoke: Any) -> None:
    make("b", status="crashed").rename(Path("experiments/\x1b[31mred\nname"))

    for options in ([], ["--status", "crashed"], ["--status", "crashed", "--delete", "--yes"]):
        assert "\x1b" not in invoke("gc", *options).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no flock there")
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("inner", ["locked", "silent elsewhere", "gone", "ended", "of another program"])
def test_a_run_within_a_run_is_looked_for_at_any_depth(invoke: Any, own_folder: Path, inner: str, depth: int) -> None:
    from refunc.outlets.locks import lock

    outer = make("outer")
    store = outer.joinpath(*["deeper"] * (depth - 1), "experiments")
    place = shutil.move(make("inner", status="completed" if inner == "ended" else "crashed"), store / "inner")
    birth = json.loads((place / "run.json").read_text())
    fd = os.open(place / "run.json", os.O_RDWR)
    if inner == "locked":
        lock(fd)
    elif inner == "silent elsewhere":
        birth |= {"host": "another", "opened_by": {"boot": "another"}}
        (place / "run.json").write_text(json.dumps(birth))
        for path in place.glob("journal/*"):
            os.utime(path, (time.time() - 86_400,) * 2)
    elif inner == "of another program":
        (place / "run.json").write_text('{"speed": 7}')

    said = json.loads(invoke("gc", "--older-than", "0s", "--delete", "--yes", "--json").stdout)
    os.close(fd)

    is_kept = inner in ("locked", "silent elsewhere")
    assert place.exists() == outer.exists() == is_kept
    assert [str(place.relative_to(outer)) in piece["reason"] for piece in said["kept"]] == [True] * is_kept
    assert not list(Path("experiments").glob(".gc-*"))


def test_hidden_folders_and_files_of_users_are_no_drafts(invoke: Any, own_folder: Path) -> None:
    """Neither by a name that only begins like one, nor by the right one with something else in it."""
    folder = make("a")
    store = own_folder / "experiments"
    kept = [store / name for name in (".import-notes", ".gc-", ".import-notes001-old", ".gc-backup", ".gc-NOTES001")]
    kept += [store / name for name in (".import-thesis01", ".gc-thesis02", ".gc-thesis03", ".gc-thesis04")]
    for each in kept:
        each.mkdir()
        (each / "thesis.md").write_text("x")
    (kept[-1] / "thesis.md").unlink()
    (kept[-1] / "run").mkdir()
    (kept[-1] / "run" / "run.json").write_text("{}")
    (kept[-1] / "run" / "thesis.md").write_text("x")
    (folder / "artifacts" / ".mynotes00001").mkdir(parents=True)
    (folder / ".run.json.mynotes1").mkdir()
    kept += [folder / "artifacts" / ".mynotes00001", folder / ".run.json.mynotes1"]
    hidden = (".thesis.chapter1.tmp", ".chapter1.refunc.tmp", ".run.json.abcdefgh", "thesis.abcdefgh.refunc.tmp")
    for place in (folder, folder / "artifacts", store, own_folder):
        for name in hidden:
            (place / name).write_text("x")
            kept.append(place / name)
    (folder / ".notes.abcdefgh.refunc.tmp").mkdir()
    (folder / ".notes.abcdefgi.refunc.tmp").symlink_to(folder / "run.json")
    kept += [folder / ".notes.abcdefgh.refunc.tmp", folder / ".notes.abcdefgi.refunc.tmp"]
    left = [store / ".gc-abcdefgh", store / ".gc-abcdefgi", store / ".import-abcdefgj"]
    for each, inside in zip(left, ["", "renamed/journal", "20260101-000000_x_aaaaaaaa"], strict=True):
        (each / inside).mkdir(parents=True)
    for each in (*kept, *left):
        aged(each)

    said = json.loads(invoke("gc", "--drafts", "--delete", "--yes", "--json").stdout)

    assert {Path(piece["path"]) for piece in said["removed"]} == {*left}
    assert all(each.exists() for each in kept)
    assert not any(each.exists() for each in left)
