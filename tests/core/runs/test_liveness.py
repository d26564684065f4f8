"""`running` while the process that opened the run lives, `crashed` at once when it is gone."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import encode_line
from refunc.journal.folder import SEGMENT_BYTES
from refunc.journal.record import Unknown
from refunc.logging import ExperimentTracker
from refunc.runs import Run, liveness
from refunc.runs.ending import ending_of
from refunc.runs.liveness import status_of


@pytest.mark.slow
def test_a_run_is_running_until_its_process_is_killed_and_crashed_at_once(training: Any) -> None:
    run = Run.open(training.folder)
    assert run.status == "running"
    assert run.duration is None

    training.kill()

    assert run.status == "crashed"
    assert run.duration is not None
    assert 0 <= run.duration < 60


@pytest.mark.slow
def test_a_run_that_ends_is_completed(training: Any) -> None:
    run = Run.open(training.folder)

    training.finish()

    assert run.status == "completed"
    assert run.duration == run.summary.end.duration  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_keep_the_run_of_its_dead_parent_alive(training: Any, tmp_path: Path) -> None:
    """A descriptor inherited by fork shares the lock: a child that kept it would make a crashed run look alive."""
    ready = tmp_path / "ready"
    training.tell(f"import os, time; os.fork() or (os.symlink(str(os.getpid()), {str(ready)!r}), time.sleep(60))")
    deadline = time.monotonic() + 20
    while not ready.is_symlink():  # only then the child has run its hooks for a fork
        assert time.monotonic() < deadline
    pid = int(os.readlink(ready))
    try:
        training.kill()

        assert Run.open(training.folder).status == "crashed"
    finally:
        os.kill(pid, 9)


@pytest.mark.slow
def test_a_copy_of_a_live_run_is_not_alive(training: Any, tmp_path: Path) -> None:
    copy = shutil.copytree(training.folder, tmp_path / "copy")

    assert Run.open(copy).status == "crashed"
    assert Run.open(training.folder).status == "running"


def test_this_process_sees_its_own_runs_the_same_way() -> None:
    tracker = ExperimentTracker("own")
    tracker.start_run()
    assert tracker.folder is not None
    run = Run.open(tracker.folder)
    before = run.status

    tracker.end_run("paused")

    assert (before, run.status) == ("running", "paused")


def test_asking_does_not_take_the_lock_away() -> None:
    tracker = ExperimentTracker("own")
    tracker.start_run()
    assert tracker.folder is not None

    seen = {Run.open(tracker.folder).status for _ in range(20)}

    assert seen == {"running"}
    tracker.end_run()


def test_where_locks_cannot_be_asked_a_run_without_an_end_reads_as_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "is_alive", lambda folder: None)

    assert status_of(tmp_path, None) == "running"
    assert status_of(tmp_path, "completed") == "completed"


@pytest.mark.skipif(sys.platform == "win32", reason="no flock there")
def test_a_folder_whose_run_json_is_gone_reads_as_running(tmp_path: Path) -> None:
    """Removed while it was looked at: nothing is known, and nothing is claimed."""
    assert status_of(tmp_path / "gone", None) == "running"


@pytest.mark.skipif(sys.platform == "win32", reason="no flock there")
@pytest.mark.parametrize("lines", [200, 300, 5_000])
def test_a_run_that_threads_log_on_in_behind_its_end_reads_as_it_ended(lines: int) -> None:
    """However much that is: the end is looked for where reading the tails alone would call the run crashed."""
    tracker = ExperimentTracker("own")
    tracker.start_run()
    tracker.log_params({"kind": "end"})
    tracker.log_metrics({"loss": 0.5}, step=1)
    folder = tracker.folder
    assert folder is not None
    tracker.end_run()
    [journal] = folder.glob("journal/*")
    with open(journal, "ab") as file:
        for number in range(100_000, 100_000 + lines):
            row = {"seq": number, "time": 1.0, "kind": "log", "level": "INFO", "message": "behind"}
            file.write(encode_line(row))

    assert Run.open(folder).status == "completed"
    assert Run.open(folder).glance().status == "completed"
    assert ending_of(folder).is_final


@pytest.mark.skipif(sys.platform == "win32", reason="no flock there")
def test_an_end_is_found_in_a_segment_that_was_filled_behind_it() -> None:
    tracker = ExperimentTracker("own")
    tracker.start_run()
    folder = tracker.folder
    assert folder is not None
    tracker.end_run("paused")
    [journal] = folder.glob("journal/*")
    row = {"time": 1.0, "kind": "log", "level": "INFO", "message": "behind " * 1_000}
    lines = [encode_line({"seq": number, **row}) for number in range(100_000, 103_000)]
    header = journal.read_bytes().partition(b"\n")[0]
    with open(journal, "ab") as file:
        file.writelines(lines)
    next_one = journal.with_name(journal.name.replace(".000000.", ".000001."))
    next_one.write_bytes(header + b"\n" + encode_line({"seq": 103_000, **row}))

    assert journal.stat().st_size > SEGMENT_BYTES
    assert Run.open(folder).status == "paused"
    assert ending_of(folder).status == "paused"


@pytest.mark.skipif(sys.platform == "win32", reason="no flock there")
def test_that_a_run_has_no_end_is_not_kept_while_its_process_has_it() -> None:
    """Its files may not change when the process gives it up, so its end must be looked for each time."""
    tracker = ExperimentTracker("own")
    tracker.start_run()
    tracker.log_metrics({"loss": 0.5}, step=1)
    tracker.flush()
    assert tracker.folder is not None

    ending = ending_of(tracker.folder)

    assert (ending.status, ending.is_final) == (None, False)
    tracker.end_run()
    assert ending_of(tracker.folder).is_final


@pytest.mark.parametrize("word", ["running", "crashed", "unreadable", ["running"], None])
def test_an_end_that_says_that_there_is_none_is_not_read_as_one(word: Any, write_run: Callable[..., Path]) -> None:
    end = {"kind": "end", "status": word, "duration": 1.0}
    run = Run.open(write_run("20260101-000000_run_aaaaaaaa", [{"kind": "start"}, end]))

    assert run.status == run.glance().status == run.facts(run.summary)["status"] == "crashed"
    assert run.summary.end is None
    assert isinstance(list(run.records())[-1], Unknown)
