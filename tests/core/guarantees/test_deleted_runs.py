"""A run whose folder is deleted while it is written goes on in a new one."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.reader import Account
from refunc.logging import MLLogger, experiment_context
from refunc.runs.run import Run
from refunc.runs.store import open_store


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("whole", [True, False], ids=["the run's folder", "its journal's file"])
@pytest.mark.parametrize("noticed", ["flush", "sync", "the threads", "a record that is written in its call"])
def test_a_run_that_is_deleted_meanwhile_goes_on_in_a_new_folder(
    noticed: str, whole: bool, caplog: pytest.LogCaptureFixture, tools: Any, journal: Any
) -> None:
    logger = MLLogger("deleted", "CRITICAL")
    with experiment_context("e", "r", logger=logger) as run:
        logger.log_metrics({"loss": 1.0})
        assert logger.flush(sync=True)
        assert run.folder is not None
        (file,) = (run.folder / "journal").iterdir()
        if whole:  # at once: the threads may make it again while files of it are still being deleted
            shutil.rmtree(run.folder.rename("deleted"))
        else:
            file.unlink()

        logger.log_metrics({"loss": 2.0})
        if noticed == "flush":
            assert logger.flush()
        elif noticed == "sync":
            run._run.writer.drain(force=True)  # type: ignore[union-attr]
            forced = run._run.writer.fsync()  # type: ignore[union-attr]
            assert not forced or _warnings(caplog)  # unless a thread has noticed it already
            assert logger.flush(sync=True)
        elif noticed == "the threads":
            tools.until(lambda: list(run.folder.glob("journal/*")))
        else:
            logger.log_hyperparams({"lr": 0.1})
        assert run.folder.joinpath("run.json").exists()
        assert Run.open(run.folder).status == "running"
        logger.log_metrics({"loss": 3.0})

    (found,) = open_store()
    records, account = journal.read(found)
    assert journal.values(records, "loss") == [1.0, 2.0, 3.0]
    assert account == Account()
    assert found.status == "completed"
    assert sum("the file that it writes to was deleted" in said for said in _warnings(caplog)) == 1
    assert not any("cannot be written" in said for said in _warnings(caplog))


def test_a_deletion_that_is_noticed_once_more_after_the_run_has_gone_on_costs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A thread that looks at the old file may say so after another one has opened the next."""
    logger = MLLogger("deleted", "CRITICAL")
    with experiment_context("e", "r", logger=logger) as run:
        logger.log_metrics({"loss": 1.0})
        assert logger.flush(sync=True)
        assert run._run is not None
        assert run.folder is not None
        writer: Any = run._run.writer
        old = writer._state.file
        (file,) = (run.folder / "journal").iterdir()
        file.unlink()
        assert logger.flush()

        writer._deleted = old
        logger.log_metrics({"loss": 2.0})

        assert logger.flush(sync=True)
        assert len(list((run.folder / "journal").iterdir())) == 1
    assert sum("the file that it writes to was deleted" in said for said in _warnings(caplog)) == 1


def test_of_a_deleted_run_earlier_files_are_lost_and_no_sync_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, journal: Any
) -> None:
    monkeypatch.setattr("refunc.journal.writer.SEGMENT_BYTES", 1_000)
    logger = MLLogger("deleted", "CRITICAL")
    with experiment_context("e", "r", logger=logger) as run:
        for n in range(20):
            logger.log_metrics({"loss": n}, step=n)
            assert logger.flush(sync=True)
        assert run.folder is not None
        shutil.rmtree(run.folder)

        logger.log_metrics({"loss": 20}, step=20)
        assert not logger.flush(sync=True)
        assert not logger.flush(sync=True)

    (found,) = open_store()
    records, account = journal.read(found)
    assert journal.values(records, "loss")[-1] == 20
    assert account.missing > 0


def test_a_run_that_is_deleted_where_no_other_can_be_made_says_so_once_and_counts(
    own_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = MLLogger("deleted", "CRITICAL")
    with experiment_context("e", "r", logger=logger) as run:
        logger.log_metrics({"loss": 1.0})
        logger.flush(sync=True)
        assert run.folder is not None
        shutil.rmtree(run.folder.parent)
        run.folder.parent.write_text("a file")

        logger.log_metrics({"loss": 2.0})
        for _ in range(3):
            assert logger.flush(sync=True) is False
            assert logger.flush() is False

    assert sum("cannot be written" in said for said in _warnings(caplog)) == 1
    assert sum("the file that it writes to was deleted" in said for said in _warnings(caplog)) == 1
