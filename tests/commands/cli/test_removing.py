"""`refunc rm` and `restore`: runs are hidden for a while, and only `gc` removes them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.ranked import ranked

from refunc.annotations import annotate, remove, restore
from refunc.annotations.file import ANNOTATIONS
from refunc.logging import MLLogger, experiment_context
from refunc.runs import Run, RunNotFoundError, open_store
from refunc_commands.upkeep import space
from refunc_commands.upkeep.folding import fold

pytestmark = [pytest.mark.once, pytest.mark.extras]


def make(*names: str) -> list[Run]:
    for name in names:
        with experiment_context("vision", name, parameters={"lr": 0.1}, logger=MLLogger("quiet", "CRITICAL")) as run:
            run.log_metrics({"loss": 0.5}, step=1)
    return [open_store()[name] for name in names]


def ran(invoke: Any, *arguments: str) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    return str(result.stdout)


def names() -> list[str]:
    return [run.run_name for run in open_store()]


def test_a_removed_run_is_hidden_from_lists_and_searches_and_comes_back(invoke: Any) -> None:
    one, dummy, _ = make("one", "dummy", "other")
    assert ran(invoke, "rm", "dummy", "other").splitlines()[0] == (
        f"removed dummy ({dummy.run_id}); `refunc restore {dummy.run_id}` takes it back"
    )

    result = invoke("ls")
    assert "dummy" not in result.stdout
    assert result.stderr == "refunc: 2 removed runs are hidden; `refunc ls --removed` shows them.\n"
    assert names() == [run.run_name for run in open_store().find("params.lr == 0.1")] == ["one"]
    assert [row["run_name"] for row in open_store().to_rows()] == ["one"]
    assert [run["run_id"] for run in json.loads(ran(invoke, "ls", "--json"))] == [one.run_id]
    listed = json.loads(ran(invoke, "ls", "--removed", "--json", "--where", "run_name == 'dummy'"))
    assert [run["run_id"] for run in listed] == [dummy.run_id]

    assert open_store()[dummy.run_id].is_removed
    assert open_store()[dummy.run_id[:6]].is_removed
    assert "`refunc restore" in ran(invoke, "show", dummy.run_id)
    with pytest.raises(RunNotFoundError, match=f"was removed; `refunc restore {dummy.run_id}`"):
        open_store()["dummy"]
    result = invoke("rm", "dummy")
    assert (result.exit_code, "was removed" in result.stderr) == (2, True)

    assert ran(invoke, "restore", "dummy", "other").splitlines()[0] == f"restored dummy ({dummy.run_id})"
    assert names() == ["one", "dummy", "other"]
    assert "is so already" in ran(invoke, "restore", "one")
    assert invoke("restore", "nothing").exit_code == 2


def test_runs_are_removed_and_restored_by_what_they_are(invoke: Any) -> None:
    make("one", "dummy_1", "dummy_2")
    assert ran(invoke, "rm", "--where", "run_name ~ 'dummy*'").count("removed dummy_") == 2
    assert names() == ["one"]
    assert ran(invoke, "restore", "--where", "run_name ~ '*2'").startswith("restored dummy_2")
    assert names() == ["one", "dummy_2"]
    assert ran(invoke, "restore", "--experiment", "vision").startswith("restored dummy_1")

    for arguments, says in (
        (("rm",), "no run is given. Name runs, or choose them by --where"),
        (("restore",), "no run is given"),
        (("rm", "--where", "run_name == 'x'"), "no runs in "),
        (("restore", "--experiment", "vision"), "no removed runs of the experiment vision"),
        (("restore", "one", "-n", "1"), "name the runs, or choose them by options, and not both"),
    ):
        result = invoke(*arguments)
        assert (result.exit_code, result.stdout, says in result.stderr) == (2, "", True), result.stderr
    assert names() == ["one", "dummy_1", "dummy_2"]


def test_only_gc_removes_it_and_only_after_the_time(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, dummy = make("one", "dummy")
    ran(invoke, "rm", "dummy")

    assert "1 run of these marked by `refunc rm`, less than 30 days ago" in ran(invoke, "gc")
    for choice in (("--removed",), ("--status", "completed"), ("--older-than", "0s"), ("--experiment", "vision")):
        said = json.loads(ran(invoke, "gc", *choice, "--dry-run", "--json"))
        assert str(dummy.folder) not in [each["path"] for each in said["chosen"]]

    told = invoke("gc", "--removed", "--delete", "--yes")
    assert told.stdout.endswith("0 B freed\n")
    assert "refunc: 1 removed run stays for 30 days after `refunc rm`; it can be deleted from 20" in told.stderr

    monkeypatch.setattr(space, "RESTORABLE", -1.0)
    assert "1 of them more than 30 days ago" in ran(invoke, "gc")
    said = json.loads(ran(invoke, "gc", "--removed", "--delete", "--yes", "--json"))
    assert [each["path"] for each in said["removed"]] == [str(dummy.folder)]
    assert (one.folder.exists(), dummy.folder.exists()) == (True, False)


def test_the_time_begins_with_the_mark_on_this_disk_and_with_the_last_record() -> None:
    [run] = make("one")
    assert space.due_time(run) is None
    remove(run)
    path = run.folder / ANNOTATIONS
    path.write_text(path.read_text().replace(f'"time": {run.annotations.changes[0].time}', '"time": 1.0'))
    due = space.due_time(run)
    assert due is not None
    assert abs(due - time.time() - 30 * 86_400) < 600, "a copy of a run that was removed long ago"


def test_what_was_restored_meanwhile_is_kept(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "RESTORABLE", -1.0)
    [run] = make("one")
    remove(run)
    [piece] = space.survey(open_store()).runs
    restore(run)
    with pytest.raises(space.KeptError, match="its annotations have changed"):
        space.remove_run(piece, open_store())
    remove(run)

    def restored(place: Path) -> None:
        if run.folder.exists():  # not moved yet
            restore(run.folder)

    monkeypatch.setattr(space, "keep_what_may_live", restored)
    with pytest.raises(space.KeptError, match="it was restored"):
        space.remove_run(piece, open_store())
    assert run.folder.exists()


def test_a_running_run_goes_on_and_gc_leaves_it(
    invoke: Any, running_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "RESTORABLE", -1.0)
    result = invoke("rm", running_run.name)
    assert "is running, and goes on" in result.stderr
    said = json.loads(ran(invoke, "gc", "--removed", "--delete", "--yes", "--json"))
    assert (said["chosen"], said["removed"]) == ([], [])
    assert Run.open(running_run).status == "running"


def test_doctor_says_how_many_there_are(invoke: Any) -> None:
    [run] = make("one")
    remove(run)
    findings = json.loads(ran(invoke, "doctor", "--json"))["findings"]
    assert [each["text"] for each in findings if "marked" in each["text"]] == ["1 run is marked by `refunc rm`"]


def test_a_removed_run_is_not_continued_by_chance() -> None:
    [run] = make("one")
    remove(run)
    quiet = MLLogger("quiet", "CRITICAL")
    with experiment_context("vision", "one", resume="auto", logger=quiet) as new:
        assert new.run_id != run.run_id
    hint = f"run {run.run_id} was removed. `refunc restore {run.run_id}` takes that back"
    with pytest.raises(ValueError, match=hint), experiment_context("vision", resume=run.run_id, logger=quiet):
        pass


# -- folding and merging of a run's folder -----------------------------------------------------------------------------


def test_folding_keeps_annotations() -> None:
    folder = ranked("a")
    annotate(folder, tags={"best": "yes"})
    for path in (folder / "journal").iterdir():
        os.utime(path, (1e9, 1e9))
    before = (folder / ANNOTATIONS).read_bytes()
    assert fold(folder).joined
    assert (folder / ANNOTATIONS).read_bytes() == before


def test_merging_brings_the_changes_of_all_folders_together(invoke: Any) -> None:
    one, other = ranked("a", only=(0, 1)), ranked("b", only=(2, 3))
    annotate(one, tags={"a": "1", "b": "1"}, note="of one")
    annotate(other, tags={"b": "2"}, note="of the other")
    annotate(one, tags={"a": "3"})

    assert "annotations.json" in ran(invoke, "merge", str(one), str(other), "--dry-run")
    assert len(Run.open(one).annotations.changes) == 2
    ran(invoke, "merge", str(one), str(other))

    run = Run.open(one)
    assert run.tags == {"a": "3", "b": "2"}
    assert [note.text for note in run.notes] == ["of one", "of the other"]
    before = (one / ANNOTATIONS).read_bytes()
    assert ran(invoke, "merge", str(one), str(other), "--delete").startswith("copied 0 files")
    assert (one / ANNOTATIONS).read_bytes() == before
    assert not other.exists()


def test_merging_into_a_new_folder_takes_them_along(invoke: Any) -> None:
    folders = [ranked("a", only=(0, 1)), ranked("b", only=(2, 3))]
    annotate(folders[1], note="of the other")
    ran(invoke, "merge", *map(str, folders), "--into", "c/new")
    assert [note.text for note in Run.open(Path("c/new").absolute()).notes] == ["of the other"]


def test_damaged_annotations_are_neither_merged_nor_removed(invoke: Any) -> None:
    one, other = ranked("a", only=(0, 1)), ranked("b", only=(2, 3))
    (other / ANNOTATIONS).write_text("{")
    result = invoke("merge", str(one), str(other), "--delete")
    assert (result.exit_code, other.exists()) == (1, True)
    assert f"{ANNOTATIONS} is damaged" in result.stdout

    annotate(one, note="x")
    result = invoke("merge", str(other), str(one))
    assert (result.exit_code, f"{ANNOTATIONS} is damaged" in result.stderr) == (2, True)
