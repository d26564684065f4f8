"""`running` while the process that opened the run lives, `crashed` at once when it is gone."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker
from refunc.runs import Run, liveness
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
    while not ready.is_symlink():  # only now the child has run what it does after a fork
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
    monkeypatch.setattr(liveness, "is_locked", lambda path: None)

    assert status_of(tmp_path, None) == "running"
    assert status_of(tmp_path, "completed") == "completed"


@pytest.mark.skipif(sys.platform == "win32", reason="no flock there")
def test_a_folder_whose_run_json_is_gone_reads_as_running(tmp_path: Path) -> None:
    """Removed while it was looked at: nothing is known, and nothing is claimed."""
    assert status_of(tmp_path / "gone", None) == "running"
