"""Annotations by two processes at once, and by a process that is killed at any call: nothing is lost or half there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refunc.annotations import annotate
from refunc.annotations.file import ANNOTATIONS, read
from refunc.outlets.replaced import is_draft_name

pytestmark = pytest.mark.once

#: Makes the changes of each line, and answers with the ids of those that were made.
WORKER = """
import json, sys
from refunc.annotations import annotate, remove, restore

for line in sys.stdin:
    folder, name, steps = json.loads(line)
    made, notes = [], []
    for number, (what, part) in enumerate(steps):
        value = f"{name}{number}"
        if what == "tag": found = annotate(folder, tags={part: value})
        elif what == "untag": found = annotate(folder, tags={part: None})
        elif what == "name": found = annotate(folder, name=value if part == "a" else "")
        elif what == "unnote" and notes: found = annotate(folder, remove_notes=[notes.pop()])
        elif what == "remove": found = remove(folder)
        elif what == "restore": found = restore(folder)
        else:
            found = annotate(folder, note=value)
            notes.append(found.changes[-1].id)
        if found.changes and found.changes[-1].id not in made: made.append(found.changes[-1].id)
    print(json.dumps(made), flush=True)
"""

WHAT = ["tag", "untag", "name", "note", "unnote", "remove", "restore"]
STEPS = st.lists(st.tuples(st.sampled_from(WHAT), st.sampled_from("ab")), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def workers() -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-c", WORKER]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(2)]
    yield started
    for process in started:
        process.communicate(timeout=60)


def expected(changes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the result of all lines of a file, as a person would put it."""
    tags: dict[str, Any] = {}
    name, notes, removed = None, {}, False
    for change in changes:
        tags |= change.get("tags", {})
        name = change.get("name", name)
        removed = change.get("removed", removed)
        if "note" in change:
            notes[change["id"]] = change["note"]
        for gone in change.get("removed_notes", ()):
            del notes[gone]
    return {"tags": tags, "name": name or None, "notes": notes, "removed": removed}


@given(one=STEPS, other=STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changes_by_two_processes_are_all_kept(
    one: list[Any], other: list[Any], workers: list[subprocess.Popen[str]], folder: Path
) -> None:
    (folder / ANNOTATIONS).unlink(missing_ok=True)
    for process, name, steps in zip(workers, "xy", (one, other), strict=True):
        assert process.stdin is not None
        process.stdin.write(json.dumps([str(folder), name, steps]) + "\n")
        process.stdin.flush()
    seen = read(folder).changes
    while len(seen) < len(one):  # some steps change nothing, so it need not come that far
        now = read(folder)
        assert now.problem is None
        assert now.changes[: len(seen)] == seen, "what was read once stays"
        if now.changes == seen:
            break
        seen = now.changes
    made = [json.loads(process.stdout.readline()) for process in workers if process.stdout is not None]

    content = json.loads((folder / ANNOTATIONS).read_text()) if (folder / ANNOTATIONS).exists() else {"changes": []}
    ids = [change["id"] for change in content["changes"]]
    assert len(set(ids)) == len(ids)
    # An id that a step without a change has seen last may be the other's.
    assert set(ids) == {each for some in made for each in some}
    found, wanted = read(folder), expected(content["changes"])
    assert found.changes[: len(seen)] == seen
    assert found.tags == wanted["tags"]
    assert found.name == wanted["name"]
    assert {note.id: note.text for note in found.notes} == wanted["notes"]
    assert (found.removal is not None) == wanted["removed"]
    assert not [name for name in os.listdir(folder) if is_draft_name(name)]


#: Annotates copies of a run in children, of which each ends at another call; looks at the file, and annotates again.
KILLED = """
import json, os, shutil, sys
os.fsync = os.fdatasync = lambda fd: None  # no power fails here, and a slow disk would take minutes for all
from pathlib import Path
from refunc.annotations import annotate
from refunc.annotations.file import read

run, place = map(Path, sys.argv[1:])
CALLS = ("open", "write", "fsync", "rename", "replace", "link", "unlink", "close", "stat", "fstat")
before, wrong, steps = read(run), [], 0

def ending_at(step, first, folder):
    left = step
    def wrapped(call):
        def counted(*arguments, **options):
            nonlocal left
            left -= 1
            if not left and first: os._exit(9)
            answer = call(*arguments, **options)
            if not left: os._exit(9)
            return answer
        return counted
    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name)))
    annotate(folder, tags={"b": "2"}, note="new")
    os._exit(0)

for first in (True, False):
    for step in range(1, 1_000):
        folder = place / f"{step:04}{first:04}"
        shutil.copytree(run, folder)
        child = os.fork()
        if not child:
            ending_at(step, first, folder)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = read(folder)
        added = found.changes[len(before.changes):]
        if found.problem or found.changes[:len(before.changes)] != before.changes or len(added) > 1:
            wrong.append([step, first, "a kill left half of it"])
        if added and (added[0].note, dict(added[0].tags)) != ("new", {"b": "2"}):
            wrong.append([step, first, "the change is not whole"])
        if code == 0 and not added:
            wrong.append([step, first, "the change is lost"])
        if annotate(folder, tags={"c": "3"}).changes[:-1] != found.changes:
            wrong.append([step, first, "the next change is not made"])
        shutil.rmtree(folder)
        steps += 1
        if code == 0:
            break
print(json.dumps({"wrong": wrong, "steps": steps}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing can be forked")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_kill_at_any_call_leaves_all_or_nothing(
    is_first: bool, folder: Path, tmp_path: Path, finished: Callable[..., tuple[int, str, str]]
) -> None:
    if not is_first:
        annotate(folder, tags={"a": "1"}, note="old")
    (tmp_path / "killed").mkdir()

    code, out, errors = finished(KILLED, folder, tmp_path / "killed", deadline=250)

    assert code == 0, errors
    said = json.loads(out)
    assert said["wrong"] == []
    assert said["steps"] >= 10


def test_what_a_killed_process_left_is_a_draft(folder: Path) -> None:
    from refunc.annotations import file as annotations_file

    script = f"""
import os
from refunc.annotations import annotate
os.link = os.replace = lambda *_: os._exit(9)
annotate({str(folder)!r}, note="x")
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 9
    [draft] = [name for name in os.listdir(folder) if name != "run.json"]
    assert is_draft_name(draft)
    assert annotations_file.read(folder).changes == ()
    shutil.rmtree(folder)
