"""A file system without locks: the run is whole, and one line at the start says that a crash is seen late."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from refunc.logging import ExperimentTracker, experiment_context, notices
from refunc.outlets import locks
from refunc.runs import open_store

fcntl = pytest.importorskip("fcntl")


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def refused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system call is where refunc ends; it answers as on NFS without lockd, or FUSE without locks."""

    def flock(fd: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(locks, "_without_locks", set())
    monkeypatch.setattr(fcntl, "flock", flock)
    notices._said.clear()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if "has no file locks" in message]


@pytest.mark.usefixtures("refused")
def test_one_line_says_so_and_the_runs_are_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("first", "second"):
        with experiment_context(name, log_dir=tmp_path) as run:
            run.log_metrics({"loss": 0.5}, step=1)
    assert len(told(caplog)) == 1
    assert str(tmp_path) in told(caplog)[0]
    assert [(run.experiment_name, run.status, len(run.metrics("loss"))) for run in open_store(tmp_path)] == [
        ("first", "completed", 1),
        ("second", "completed", 1),
    ]


@pytest.mark.usefixtures("refused")
def test_a_further_attempt_is_told_as_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = ExperimentTracker("digits", log_dir=tmp_path)
    first.start_run()
    first.end_run()
    notices._said.clear()
    caplog.clear()
    with experiment_context("digits", log_dir=tmp_path, resume=True) as run:
        run.log_metrics({"loss": 0.5}, step=1)
    assert len(told(caplog)) == 1
    assert open_store(tmp_path)[str(first.run_id)].attempt == 2


def test_where_locks_work_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with experiment_context("digits", log_dir=tmp_path):
        pass
    assert not told(caplog)


def test_one_refusal_says_nothing_about_the_next_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices._said.clear()
    monkeypatch.setattr(locks, "_without_locks", {tmp_path.stat().st_dev})
    with experiment_context("digits", log_dir=tmp_path):
        pass
    assert not told(caplog)
