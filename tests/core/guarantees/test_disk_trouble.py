"""A disk that refuses, fills up, fails or stands still: training goes on, and every loss is counted."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.reader import Account, read_journal
from refunc.journal.record import Gap
from refunc.logging import ExperimentTracker, MLLogger
from refunc.outlets import appender, not_on_disk, pump
from refunc.outlets.bounded_queue import HIGH_WATER
from refunc.runs.run import Run
from refunc.runs.store import open_store


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


class Fault:
    """A system call that fails at its n-th call from now; `raises` None makes a write a short one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, number: int, raises: int | None) -> None:
        self.calls = 0
        self.hit = False
        module, attribute = ("refunc.outlets.file", "_datasync") if name == "fdatasync" else ("os", name)
        original = getattr(os, name)

        def faulty(*args: Any, **options: Any) -> Any:
            is_ours = name == "fdatasync" or threading.current_thread().name != "pytest-timeout"
            if name == "open" and not str(args[0]).endswith(".jsonl"):
                is_ours = False
            self.calls += is_ours
            if is_ours and self.calls == number:
                self.hit = True
                if raises is not None:
                    raise OSError(raises, os.strerror(raises))
                return original(args[0], bytes(args[1])[: max(1, len(args[1]) // 3)])
            return original(*args, **options)

        monkeypatch.setattr(f"{module}.{attribute}", faulty)


def test_records_of_a_retired_segment_whose_sync_fails_are_written_again(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last sync of a full segment counts like any other."""
    monkeypatch.setattr("refunc.journal.writer.SEGMENT_BYTES", 1_000)
    for n in range(50):
        tracker.log_metrics({"n": n})
    tracker.flush(sync=True)
    run = tracker._run
    assert run is not None
    pump.dismiss(run.writer)  # which would write and sync when it likes
    with monkeypatch.context() as patch:
        for n in range(50, 100):
            tracker.log_metrics({"n": n})
        tracker.flush()
        full = run.writer._state.file.path
        Fault(patch, "fdatasync", 1, errno.EIO)
        tracker.log_metrics({"n": 100})
        tracker.flush()
        assert not tracker.flush(sync=True)
    assert tracker.flush(sync=True)

    os.unlink(full)  # as after a power cut, where the kernel gave up the pages
    account = Account()
    found = [
        record.metrics["n"] for record in read_journal(run.folder, account) if "n" in getattr(record, "metrics", {})
    ]
    assert sorted(found) == list(range(101))
    assert account.missing == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux does")
def test_a_disk_that_never_syncs_costs_no_file_for_each_segment(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it does again, all that no sync succeeded for is written again, whether its file is still open or not."""
    monkeypatch.setattr("refunc.journal.writer.SEGMENT_BYTES", 1_000)
    run = tracker._run
    assert run is not None
    most = 0
    with monkeypatch.context() as patch:
        patch.setattr("refunc.outlets.file._datasync", _no_sync)
        for n in range(300):
            tracker.log_metrics({"n": n})
            if n % 3 == 0:
                assert not tracker.flush(sync=True)
                most = max(most, _open_segments(run.folder))
    assert len(list((run.folder / "journal").iterdir())) > 20
    assert most <= not_on_disk.MAX_NOT_ON_DISK + 3

    deadline = time.monotonic() + 30
    while not tracker.flush(sync=True):
        assert time.monotonic() < deadline
    paths = sorted((run.folder / "journal").iterdir())
    for path in paths[1:15]:  # as after a power cut, where the kernel gave up the pages
        path.unlink()
    account = Account()
    found = [
        record.metrics["n"] for record in read_journal(run.folder, account) if "n" in getattr(record, "metrics", {})
    ]
    assert sorted(found) == list(range(300))
    assert account.missing == 0
    while _open_segments(run.folder) > 1:  # the sync thread closes the rest at its next turn
        assert time.monotonic() < deadline
        tracker.flush(sync=True)


def _no_sync(fd: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _open_segments(folder: Path) -> int:
    """Count this run's: other tests' runs are in other folders, and may still be open."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith(f"{folder}/journal/")
        except OSError:  # closed since
            continue
    return found


def test_drops_are_counted_exactly(
    tracker: ExperimentTracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, journal: Any
) -> None:
    """Dropped records, the gaps in the journal and the account are one number, and one warning was given."""
    run = tracker._run
    assert run is not None
    tracker.flush()
    write = os.write
    broken = threading.Event()
    broken.set()

    def refuse(fd: int, data: Any) -> int:
        if broken.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", refuse)
    total = HIGH_WATER + 20_000
    for n in range(total):
        tracker.log_metrics({"n": n})
    assert tracker.flush() is False
    dropped = run.writer.dropped
    assert dropped > 0
    assert run.writer.waiting <= HIGH_WATER + appender.BATCH_RECORDS
    broken.clear()
    assert tracker.flush()
    tracker.end_run()

    records, account = journal.read(Run.open(run.folder))
    assert sum(record.dropped for record in records if isinstance(record, Gap)) == dropped == account.dropped
    found = journal.values(records, "n")
    assert found == sorted(set(found))
    assert len(found) + dropped == total
    assert account.missing == account.damaged == account.torn == 0
    assert len([line for line in _warnings(caplog) if "cannot be written" in line]) == 1


def test_back_pressure_begins_at_the_bound_and_drops_nothing(tracker: ExperimentTracker, journal: Any) -> None:
    run = tracker._run
    assert run is not None
    most = 0
    for n in range(100_000):
        tracker.log_metrics({"n": n})
        most = max(most, len(run.writer.queue))
    tracker.end_run()

    assert most <= HIGH_WATER
    records, account = journal.read(Run.open(run.folder))
    assert journal.values(records, "n") == list(range(100_000))
    assert account == Account()


@pytest.mark.parametrize("free", [0, 100, 4096, 8192])
def test_a_disk_that_is_full_from_the_start_leaves_no_half_run_json(
    free: int, tmp_path: Path, require: Callable[[bool, str], None], journal: Any
) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], capture_output=True)
    require(mounted.returncode == 0, "run as root on Linux")
    try:
        ballast = mount / "ballast"
        ballast.write_bytes(b"x" * (65_536 - free))
        tracker = ExperimentTracker("e", log_dir=mount / "store", logger=MLLogger("quiet", "CRITICAL"))
        tracker.start_run()
        for _ in range(5):
            tracker.set_tag("a", "b")
        ballast.unlink()
        tracker.end_run()

        [run] = open_store(mount / "store")
        assert run.status == "completed"
        assert [path.name for path in run.folder.glob(".run.json*")] == []
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("part", ["store", "logs", "both"])
def test_where_nothing_can_be_written_the_training_goes_on(
    part: str, tmp_path: Path, finished: Callable[..., tuple[int, str, str]]
) -> None:
    """The parent of the folder is a file, which stops root as well. One warning for each that fails."""
    (tmp_path / "file").write_text("no folder")
    bad = str(tmp_path / "file" / "below")
    logs = bad if part != "store" else "logs"
    store = bad if part != "logs" else "experiments"
    returned, out, err = finished(
        f"""
        log = MLLogger("train", "INFO", log_dir={logs!r}, colored_output=False)
        with experiment_context("e", logger=log, log_dir={store!r}, parameters={{"lr": 1}}) as run:
            for n in range(40_000):
                log.log_metrics({{"n": n}})
            log.error("an error"); log.log_artifact(sys.argv[0]); run.flush()
        print("trained", run._run.writer.dropped)
        """
    )

    assert returned == 0, err
    word, dropped = out.split()
    assert word == "trained"
    assert (int(dropped) > 0) == (part != "logs")
    assert err.count("cannot be written") == (2 if part == "both" else 1), err
    assert "Traceback" not in err


@pytest.mark.parametrize("quiet", ["", "1"])
@pytest.mark.parametrize("end", ["log.end_experiment()", ""], ids=["by a call", "with the process"])
def test_the_end_of_a_run_says_how_many_records_were_not_written(
    end: str, quiet: str, tmp_path: Path, finished: Callable[..., tuple[int, str, str]]
) -> None:
    (tmp_path / "file").write_text("no folder")
    returned, _, err = finished(
        f"""
        log = MLLogger("train", "INFO", colored_output=False)
        log.start_experiment("e", "x")
        log.log_metrics({{"loss": 0.5}})
        {end}
        """,
        REFUNC_DIR=str(tmp_path / "file"),
        REFUNC_QUIET=quiet,
    )

    assert returned == 0, err
    ends = [line for line in err.splitlines() if "run x completed in" in line]
    assert len(ends) == 1, err
    assert "3 of this process's records were not written to " in ends[0]  # the start, the metrics and the end
