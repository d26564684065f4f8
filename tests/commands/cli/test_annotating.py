"""`refunc tag`, `note` and `rename`: runs are annotated beside their journals, and all commands apply it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from refunc.annotations import annotate
from refunc.annotations.file import ANNOTATIONS
from refunc.logging import MLLogger, experiment_context
from refunc.runs import Run, open_store

pytestmark = [pytest.mark.once, pytest.mark.extras]


def make(name: str, **tags: str) -> Run:
    quiet = MLLogger("quiet", "CRITICAL")
    with experiment_context("vision", name, parameters={"lr": 0.1}, tags=tags, logger=quiet) as run:
        run.log_metrics({"loss": 0.5}, step=1)
    return open_store()[name]


def journal(run: Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run.folder / "journal").iterdir()}


def ran(invoke: Any, *arguments: str) -> str:
    result = invoke(*arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    return str(result.stdout)


def refused(invoke: Any, *arguments: str) -> str:
    before = [run.annotations for run in open_store()]
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert [run.annotations for run in open_store()] == before
    [line] = result.stderr.splitlines()
    return str(line)


def test_a_long_name_does_not_hide_what_is_said_of_it(invoke: Any) -> None:
    """It may have a thousand characters."""
    one, other = make("one"), make("other")
    long = "x" * 1_000
    ran(invoke, "rename", "other", long)

    said = invoke("rename", "one", long)

    short = "x" * 100 + "…"
    assert said.stdout == f"renamed one ({one.run_id}) to {short}\n"
    assert f"`{short}` means {other.run_id}, and {one.run_id} means this one" in said.stderr
    assert ran(invoke, "tag", one.run_id, "best=yes") == f"tagged {short} ({one.run_id}): best=yes\n"


def test_tags_are_given_and_taken_away(invoke: Any) -> None:
    one, other = make("one", phase="train"), make("other")
    before = journal(one)

    said = ran(invoke, "tag", "one", other.run_id, "best=yes", "why=a=b")
    assert said == f"tagged one ({one.run_id}): best=yes, why=a=b\ntagged other ({other.run_id}): best=yes, why=a=b\n"
    assert one.tags == {"phase": "train", "best": "yes", "why": "a=b"}
    assert ran(invoke, "tag", "one", "other", "--remove", "phase", "--set", "best=no").count("phase removed") == 2
    assert (one.tags, other.tags) == ({"best": "no", "why": "a=b"}, {"best": "no", "why": "a=b"})
    assert ran(invoke, "tag", "one", "best=no") == f"one ({one.run_id}) is so already\n"
    assert journal(one) == before


def test_all_commands_apply_them(invoke: Any) -> None:
    run = make("one", phase="train")
    make("other", phase="train")
    ran(invoke, "tag", "one", "best=yes", "phase=final")
    ran(invoke, "note", "one", "the new [bold] sampler\nand the old rate")
    ran(invoke, "rename", "one", "baseline")

    shown = ran(invoke, "show", "baseline")
    assert "baseline  (logged as one)" in shown
    assert "best   yes  (annotated 20" in shown
    assert "the new [bold] sampler\n    and the old rate  (20" in shown
    assert "baseline" in ran(invoke, "ls", "--where", "tags.best == 'yes' and run_name == 'baseline'")
    assert "other" not in ran(invoke, "ls", "--where", "tags.best == 'yes'")
    assert json.loads(ran(invoke, "ls", "--json"))[0]["run_name"] == "baseline"
    compared = json.loads(ran(invoke, "compare", "baseline", "other", "--json"))
    assert compared["tags"]["phase"] == {"values": ["final", "train"], "differs": True}
    ran(invoke, "export", "--to", "csv", "-o", "points.csv")
    assert ",baseline," in Path("points.csv").read_text()
    ran(invoke, "report", "baseline", "-o", "page.html")
    assert "and the old rate" in Path("page.html").read_text()

    found = json.loads(ran(invoke, "show", "one", "--json"))
    assert [note["text"] for note in found["notes"]] == ["the new [bold] sampler\nand the old rate"]
    assert [sorted(change.keys() - {"id", "time", "by", "host"}) for change in found["annotations"]] == [
        ["tags"], ["note"], ["name"]
    ]  # fmt: skip
    [row, _] = open_store().to_rows()
    assert (row["run_name"], row["tags.best"], row["notes"]) == ("baseline", "yes", run.notes[0].text)
    assert [each.run_name for each in open_store().find("tags.best == 'yes'")] == ["baseline"]
    ran(invoke, "rename", "baseline", "--original")
    assert open_store()["one"].run_name == "one"


def test_a_name_that_other_runs_have_is_told_with_the_ids(invoke: Any) -> None:
    first, second, third = make("one"), make("two"), make("three")

    def told(*arguments: str) -> str:
        result = invoke("rename", *arguments)
        assert result.exit_code == 0
        return str(result.stderr)

    means = f"`two` means {second.run_id}, and {first.run_id} means this one"
    assert told("one", "two") == f"refunc: another run has this name too: {means}\n"
    means = f"`two` means this one, {third.run_id}; the others have the ids {first.run_id}, {second.run_id}"
    assert told("three", "two", "--json") == f"refunc: 2 other runs have this name too: {means}\n"
    assert told(first.run_id, "--original") == ""
    means = f"`{second.run_id}` means {second.run_id}, and {first.run_id} means this one"
    assert told(first.run_id, second.run_id) == f"refunc: this is the id of another run: {means}\n"
    assert told(first.run_id, "free") == ""
    means = f"`two` means this one, {third.run_id}; the other has the id {second.run_id}"
    assert told(third.run_id, "two") == f"refunc: another run has this name too: {means}\n"
    invoke("rm", second.run_id)
    assert told(third.run_id, "two") == ""  # a removed run is not found by its name
    assert told(second.run_id, "gone") == ""
    assert f"another run has this name too: `free` means {first.run_id}, and" in told(second.run_id, "free")


def test_a_note_is_taken_away_by_its_id(invoke: Any) -> None:
    run = make("one")
    ran(invoke, "note", "one", "first")
    ran(invoke, "note", "one", "second")
    [first, _] = run.notes
    assert ran(invoke, "note", "one", "--remove", first.id) == f"removed a note of one ({run.run_id})\n"
    assert [note.text for note in run.notes] == ["second"]
    assert f"no note '{first.id}'" in refused(invoke, "note", "one", "--remove", first.id)


def test_json_has_the_runs_as_they_are_now(invoke: Any) -> None:
    run = make("one")
    [said] = json.loads(ran(invoke, "tag", "one", "best=yes", "--json"))
    assert {**said, "folder": None} == {
        "run_id": run.run_id, "run_name": "one", "tags": {"best": "yes"}, "notes": [], "is_removed": False,
        "changed": True, "problem": None, "folder": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tag", "one"), "no tag is given. Write it after the run: `refunc tag one best=yes`."),
        (("tag", "one", "=x"), "'=x' is not a tag. Write it as NAME=VALUE"),
        (("tag", "one", "--set", "best"), "'best' is not a tag"),
        (("tag", "one", "--remove", "phse"), "the run has no tag 'phse'. Did you mean phase?"),
        (("tag", "one", "--remove", "zzz"), "the run has no tag 'zzz'. Tags: phase."),
        (("tag", "one", "a=b", "--remove", "a"), "a is both given and removed"),
        (("tag", "one", "nope", "a=b"), "no run 'nope'"),
        (("tag", "a=b"), "no tag is given. Write it after the run: `refunc tag RUN best=yes`."),
        (("tag",), "no run is given. Write it before the tag"),
        (("tag", "--where", "params.lr > 9", "a=b"), "no runs in "),
        (("tag", "--where", "params.rl > 9", "a=b"), "no run has a param 'rl'"),
        (("note", "one"), "there is no text. Write it in quotes"),
        (("note", "one", " "), "a note is empty"),
        (("note", "one", "x" * 50_001), "a note has 50,001 characters; at most 50,000"),
        (("note", "one", "--remove", "abc"), "the run has no note 'abc'"),
        (("note", "one", "two", "words"), "unexpected extra argument"),
        (("rename", "one"), "give either a NAME or --original"),
        (("rename", "one", "x", "--original"), "give either a NAME or --original"),
        (("rename", "one", " "), "the name is empty"),
        (("rename", "one", "x" * 1_001), "a name has 1,001 characters"),
    ],
)
def test_a_mistake_is_told(invoke: Any, arguments: tuple[str, ...], says: str) -> None:
    make("one", phase="train")
    assert says in refused(invoke, *arguments)


def test_the_best_run_is_tagged_in_one_command(invoke: Any) -> None:
    runs = {name: make(name) for name in ("one", "two", "three")}
    for name, best in (("one", "0"), ("two", "2"), ("three", "1")):
        annotate(runs[name], tags={"place": best})
    ran(invoke, "tag", "--sort=-tags.place", "-n", "1", "best=yes")
    ran(invoke, "tag", "--where", "tags.place != '2'", "lr=x")
    assert {name: [tag for tag in run.tags if tag != "place"] for name, run in runs.items()} == {
        "one": ["lr"], "two": ["best"], "three": ["lr"]
    }  # fmt: skip


def test_a_run_whose_name_has_an_equals_sign(invoke: Any) -> None:
    run, other = make("lr=0.1"), make("other")
    ran(invoke, "tag", "lr=0.1", "best=yes")
    assert run.tags == {"best": "yes"}
    assert "'lr=0.1' is a tag, but a run has this name" in refused(invoke, "tag", "other", "lr=0.1")
    ran(invoke, "tag", "other", "--set", "lr=0.1")
    assert other.tags == {"lr": "0.1"}


def test_a_damaged_file_is_told_and_does_not_hinder_reading(invoke: Any) -> None:
    runs = [make("one", phase="train"), make("two")]
    (runs[0].folder / ANNOTATIONS).write_text("{")

    result = invoke("tag", "one", "two", "best=yes")
    assert result.exit_code == 1
    assert result.stdout == f"tagged two ({runs[1].run_id}): best=yes\n"
    assert f"{runs[0].folder}: {ANNOTATIONS} is damaged" in result.stderr
    assert "one" in ran(invoke, "ls", "--where", "tags.phase == 'train'")
    assert "annotations  (left out)" in ran(invoke, "show", "one")
    [finding] = [
        each for each in json.loads(invoke("doctor", "--json").stdout)["findings"] if each["state"] == "problem"
    ]
    assert f"{runs[0].folder.name}: {ANNOTATIONS} is damaged" in finding["text"]


def test_a_running_run_of_another_process_is_annotated(invoke: Any, running_run: Path) -> None:
    ran(invoke, "tag", str(running_run), "best=yes")
    run = Run.open(running_run)
    assert (run.status, run.tags) == ("running", {"best": "yes"})


def test_control_characters_do_not_reach_the_terminal(invoke: Any) -> None:
    run = make("one")
    annotate(run, tags={"\x1b[31m": "\x1b[2J"}, note="\x1b]0;x\x07", name="\x1b[1m{}")
    for said in (ran(invoke, "show", run.run_id), ran(invoke, "ls"), ran(invoke, "tag", run.run_id, "{id}={}")):
        assert "\x1b" not in said
        assert "\\x1b" in said
    assert run.tags["{id}"] == "{}"


def test_a_copy_of_the_folder_has_them(invoke: Any) -> None:
    run = make("one")
    ran(invoke, "tag", "one", "best=yes")
    os.rename(run.folder, "elsewhere")
    assert Run.open(Path("elsewhere").absolute()).tags == {"best": "yes"}
