"""Annotations in Python: the result of a change, and the answer to a mistake."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from refunc.annotations import AnnotationError, annotate, remove, restore
from refunc.annotations.change import Change, without_superseded
from refunc.annotations.changing import joined, take_over
from refunc.annotations.file import ANNOTATIONS, read
from refunc.annotations.state import Annotations


def test_all_of_a_call_is_one_change(folder: Path) -> None:
    before = time.time()
    found = annotate(folder, tags={"best": True, "lr": 0.1}, note="the best", name="baseline")

    [change] = found.changes
    assert before <= change.time <= time.time()
    assert found.tags == {"best": "True", "lr": "0.1"}
    assert [(note.text, note.id) for note in found.notes] == [("the best", change.id)]
    assert found.name == "baseline"
    assert found == read(folder)
    assert sorted(os.listdir(folder)) == [ANNOTATIONS, "run.json"]


def test_each_part_can_be_taken_back(folder: Path) -> None:
    found = annotate(folder, tags={"best": "yes"}, note="the best", name="baseline")
    annotate(folder, tags={"best": None})
    annotate(folder, remove_notes=[found.notes[0].id])
    annotate(folder, name="")

    found = read(folder)
    assert (found.tags, found.notes, found.name) == ({"best": None}, [], None)
    assert found.applied({"best": "logged", "phase": "train"}) == {"phase": "train"}
    assert len(found.changes) == 4, "the history has all of it"


def test_a_run_is_removed_and_restored(folder: Path) -> None:
    marked = remove(folder).removal
    assert marked is not None
    assert marked.removed is True
    assert remove(folder).changes == (marked,), "it was removed before"
    assert restore(folder).removal is None
    assert [change.removed for change in restore(folder).changes] == [True, False]


def test_no_change_writes_nothing(folder: Path) -> None:
    assert annotate(folder) == restore(folder) == annotate(folder, name="") == Annotations()
    assert os.listdir(folder) == ["run.json"]
    annotate(folder, tags={"best": "yes"}, name="x")
    before = (folder / ANNOTATIONS).stat()
    assert len(annotate(folder, tags={"best": "yes"}, name="x").changes) == 1
    assert (folder / ANNOTATIONS).stat().st_ino == before.st_ino
    assert annotate(folder, tags={"best": "yes", "new": 1}).changes[-1].tags == {"new": "1"}


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"tags": ["best"]}, TypeError, "tags: ['best'] is not a mapping"),
        ({"tags": {"": "x"}}, ValueError, "a tag's name is empty"),
        ({"tags": {"a": "x" * 10_001}}, ValueError, "a tag has 10,001 characters; at most 10,000"),
        ({"tags": {"x" * 1_001: "a"}}, ValueError, "a tag's name has 1,001 characters"),
        ({"note": " \n"}, ValueError, "a note is empty"),
        ({"note": 3}, TypeError, "a note is a text, not 3"),
        ({"name": "x" * 1_001}, ValueError, "a name has 1,001 characters"),
        ({"remove_notes": "abc"}, TypeError, "is not a list of ids"),
        ({"remove_notes": ["abc"]}, ValueError, "the run has no note 'abc'. Its notes: none."),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(
    folder: Path, wrong: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as raised:
        annotate(folder, **{"tags": {"fine": 1}, **wrong})
    assert says in str(raised.value)
    assert os.listdir(folder) == ["run.json"]


def test_what_is_not_a_run_is_refused(tmp_path: Path, folder: Path) -> None:
    for nothing in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError, match=r"it is not a run: it has no run\.json"):
            annotate(nothing, note="x")
    for wrong in (None, 3, object()):
        with pytest.raises(TypeError, match="is not a run"):
            annotate(wrong, note="x")  # type: ignore[arg-type]


def test_texts_of_any_letters_come_back(folder: Path) -> None:
    text = "日本語 \x00\x1b[31m \ud800 \u2028 😀 'quotes' \"and\" \\"
    found = annotate(folder, tags={text: text}, note=text, name=text)
    assert read(folder) == found
    assert found.name == text.replace("\ud800", "\\ud800")
    assert (folder / ANNOTATIONS).read_bytes().isascii()


def test_a_full_file_forgets_what_is_superseded_and_then_refuses(folder: Path) -> None:
    annotate(folder, note="kept", tags={"a": "0"})
    for number in range(1, 100):
        annotate(folder, tags={"a": str(number) + "x" * 9_000})
    found = read(folder)
    assert len(found.changes) < 70
    assert [note.text for note in found.notes] == ["kept"]
    assert found.tags == {"a": "99" + "x" * 9_000}
    with pytest.raises(AnnotationError, match="at most 1,048,576 bytes"):
        take_over(folder, [Change(id=f"n{number}", time=0.0, note="x" * 50_000) for number in range(30)])
    assert read(folder).problem is None
    assert annotate(folder, tags={"b": "1"}).tags["b"] == "1"


def test_superseded_changes_say_nothing() -> None:
    changes = [
        Change(id="1", time=1, tags={"a": "1"}, name="x"),
        Change(id="2", time=2, note="gone", tags={"b": "1"}),
        Change(id="3", time=3, removed=True),
        Change(id="4", time=4, tags={"a": "2"}, more={"rating": 5}),
        Change(id="5", time=5, removed_notes=("2",)),
        Change(id="6", time=6, removed=False, name="y", tags={"a": None}),
    ]
    kept = without_superseded(changes)
    assert [change.id for change in kept] == ["2", "4", "6"]
    before, after = Annotations(tuple(changes)), Annotations(tuple(kept))
    for part in ("tags", "name", "notes", "removal"):
        assert getattr(before, part) == getattr(after, part)


def test_the_changes_of_a_copy_are_added_once_and_in_order(folder: Path) -> None:
    own = [Change(id=name, time=moment) for name, moment in (("a", 1.0), ("b", 5.0), ("c", 3.0))]
    others = [
        Change(id=name, time=moment) for name, moment in (("a", 1.0), ("x", 2.0), ("c", 3.0), ("y", 0.0), ("y", 0))
    ]
    found = joined(own, others)
    assert [change.id for change in found] == ["a", "x", "b", "c", "y"]
    assert joined(found, others) == joined(found, own) == found

    annotate(folder, note="here")
    take_over(folder, others)
    assert len(take_over(folder, others).changes) == 5


def test_what_a_newer_refunc_wrote_is_kept(folder: Path) -> None:
    change = {"id": "a", "time": 1.0, "rating": {"stars": 5}, "tags": {"a": "b"}}
    (folder / ANNOTATIONS).write_text(json.dumps({"format": 1, "changes": [change], "further": 1}))
    annotate(folder, note="x")
    assert json.loads((folder / ANNOTATIONS).read_text())["changes"][0] == change
