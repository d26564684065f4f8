"""How many log files there may be, how large, and how many of them are open."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import MLLogger, experiment_context
from refunc.logging.logfiles import logfile, rotation
from refunc.logging.logfiles.shelf import named

pytestmark = pytest.mark.once


def quiet(name: str = "train", **options: Any) -> MLLogger:
    logger = MLLogger(name, **options)
    logging.getLogger(name).handlers[:] = [logging.NullHandler()]
    return logger


def sizes() -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(Path("logs").glob("[!.]*"))}


def numbers(*paths: str) -> list[int]:
    """Return the numbers of lines such as `line 7`, from the files in this order."""
    texts = "".join(Path("logs", path).read_text() for path in paths)
    return [int(line.rsplit("line ", 1)[1].split()[0]) for line in texts.splitlines() if "line " in line]


# -- rotation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 100, 3_000])
@pytest.mark.parametrize("is_tracked", [True, False])
def test_a_burst_is_divided_so_that_no_file_exceeds_its_size(length: int, is_tracked: bool) -> None:
    logger = quiet(max_file_size="20KB", max_log_files=4, experiment_tracking=is_tracked)
    for number in range(3_000 if length < 1_000 else 100):
        logger.info("line %d %s", number, "x" * length)
    assert logger.flush()

    names = ["train.log.3", "train.log.2", "train.log.1", "train.log"]
    assert list(sizes()) == sorted(names)
    assert all(20_480 - length - 100 < sizes()[name] <= 20_480 for name in names[:-1])
    found = numbers(*names)
    assert found == list(range(found[0], found[-1] + 1))
    assert found[-1] in (2_999, 99)


def test_a_line_that_is_longer_than_a_file_may_be_has_one_of_its_own() -> None:
    logger = quiet(max_file_size="1KB", max_log_files=10)
    for number, length in enumerate([1, 3_000, 1]):
        logger.info("line %d %s", number, "x" * length)
    assert logger.flush()

    assert [numbers(name) for name in ("train.log.2", "train.log.1", "train.log")] == [[0], [1], [2]]


@pytest.mark.parametrize("there", [900, 1_024, 5_000])
def test_a_file_from_before_is_rotated_before_it_exceeds_its_size(there: int) -> None:
    Path("logs").mkdir()
    Path("logs/train.log").write_text("x" * (there - 1) + "\n")
    logger = quiet(max_file_size="1KB")
    logger.info("line 1 %s", "x" * 100)
    assert logger.flush()

    assert sizes()["train.log.1"] == there
    assert numbers("train.log") == [1]


def test_a_system_that_renames_no_open_file_rotates_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "CLOSES_TO_RENAME", True)
    logger = quiet(max_file_size="1KB", max_log_files=100)
    for number in range(300):
        logger.info("line %d", number)
    assert logger.flush()

    names = [*(f"train.log.{number}" for number in range(len(sizes()) - 1, 0, -1)), "train.log"]
    assert len(names) > 10
    assert numbers(*names) == list(range(300))


def test_a_log_file_that_cannot_be_written_costs_bounded_memory() -> None:
    Path("logs").write_text("a file where the folder should be")
    logger = quiet()
    (file,) = named("train")
    file._bound = 1_000
    for number in range(5_000):
        logger.info("line %d", number)
    assert not logger.flush()
    assert file.waiting <= 1_001  # and one in hand

    Path("logs").unlink()
    logger.error("line 5000")
    found = numbers("train.log")
    assert found[:900] == list(range(900))
    assert "lines were dropped" in Path("logs/train.log").read_text()


def test_files_beyond_a_lowered_bound_are_removed_at_the_next_rotation() -> None:
    Path("logs").mkdir()
    for number in range(1, 9):
        Path(f"logs/train.log.{number}").write_text("old\n")
    Path("logs/train.log.keep").write_text("not one of them\n")
    Path("logs/train.log").write_text("x" * 30_000 + "\n")
    logger = quiet(max_log_files=3, max_file_size="20KB")
    for number in range(2):
        logger.info("line %d", number)
        logger.flush()

    assert list(sizes()) == ["train.log", "train.log.1", "train.log.2", "train.log.keep"]
    assert numbers("train.log.1", "train.log") == [0, 1]


def test_a_refused_rename_loses_nothing_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied", str(source))

    logger = quiet(max_file_size="1KB")
    with monkeypatch.context() as refused:
        refused.setattr(rotation.os, "replace", refuse)
        for number in range(200):
            logger.info("line %d", number)
            assert number % 20 or logger.flush()
        logger.error("line 200")
        assert numbers("train.log") == list(range(201))
        assert len([record for record in caplog.records if "cannot be renamed" in record.getMessage()]) == 1
    monkeypatch.setattr(logfile, "ROTATE_AGAIN", 0.0)
    (file,) = named("train")
    file._rotate_at = 0.0
    logger.error("line 201")

    assert numbers("train.log.1") == list(range(201))
    assert numbers("train.log") == [201]


# -- files of other processes ----------------------------------------------------------------------------------------


def test_a_name_that_ends_like_a_pid_shares_no_file_with_a_worker_and_is_not_taken_for_one() -> None:
    for name in ("train.7", "train.v1.2"):
        quiet(name).error("line 1")
    made = list(sizes())
    assert "train.7.log" not in made
    for number in range(20):  # of processes that are gone
        Path(f"logs/train.{4_000_000 + number}.log").write_text("old\n")
    quiet(max_log_files=3).error("line 1")
    (file,) = named("train")
    file.remove_left()

    assert [name for name in sizes() if not name.startswith("train.40")] == sorted([*made, "train.log"])
    assert len(sizes()) == len(made) + 1 + 2


def test_files_of_gone_processes_are_removed_oldest_first_and_those_of_living_ones_never(
    script: Callable[..., subprocess.Popen[str]],
) -> None:
    logger = quiet(max_log_files=3)  # kept, or the sync thread gives its file back, and the process takes that one
    logger.error("line 1")
    process = script(
        'MLLogger("train", max_log_files=3).error("line 2"); print("written", flush=True); sys.stdin.read()'
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    living = Path(f"logs/train.{process.pid}.log")
    os.utime(living, (1, 1))
    for age in range(1, 6):
        left = Path(f"logs/train.{4_000_000 + age}.log")
        left.write_text("left\n")
        os.utime(left, (1_000_000 - age, 1_000_000 - age))
    (file,) = named("train")
    file.remove_left()

    assert set(sizes()) == {"train.log", living.name, "train.4000001.log", "train.4000002.log"}


def test_workers_of_many_epochs_leave_no_more_files_than_the_bound(
    finished: Callable[..., tuple[int, str, str]],
) -> None:
    returned, _, err = finished(
        """
        logger = MLLogger("train", "INFO", max_log_files=2)
        logger.info("line 0")
        for epoch in range(4):
            pids = []
            for _ in range(3):
                pid = os.fork()
                if not pid:
                    logger.error("line 1")
                    os._exit(0)
                pids.append(pid)
            for pid in pids:
                os.waitpid(pid, 0)
        """,
        prelude="import os, warnings; warnings.filterwarnings('ignore', '.*use of fork.*')\n"
        "from refunc.logging import MLLogger\n",
    )

    assert returned == 0, err
    assert "train.log" in sizes()
    assert numbers("train.log") == [0]
    assert len(sizes()) == 2


counts_open_files = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux does")

# -- open files ------------------------------------------------------------------------------------------------------


def held() -> int:
    """Return how many files in the log folder this process has open."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed since, by another thread
            found += str(Path("logs").absolute()) in os.readlink(f"/proc/self/fd/{name}")
    return found


@counts_open_files
def test_many_loggers_share_few_open_files_and_lose_no_line() -> None:
    loggers = [quiet(f"logger-{number}") for number in range(100)]
    for round_ in range(3):
        for logger in loggers:
            logger.error("line %d", round_)
        assert held() <= logfile.MAX_OPEN + 1

    assert all(numbers(f"{logger.name}.log") == [0, 1, 2] for logger in loggers)


@counts_open_files
def test_a_logger_that_is_gone_gives_its_file_back(tools: Any) -> None:
    logger = quiet()
    logger.info("line 1")
    logger.flush()
    assert held() == 1

    del logger
    tools.until(lambda: gc.collect() is not None and held() == 0)
    tools.until(lambda: not named("train"))
    quiet().error("line 2")
    assert numbers("train.log") == [1, 2]


def test_a_file_that_a_logger_takes_while_it_is_closed_as_unused_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    is_closed, may_go_on, is_over = threading.Event(), threading.Event(), threading.Event()
    let_go = logfile.LogFile.let_go

    def pause(file: logfile.LogFile) -> None:
        let_go(file)
        is_closed.set()
        may_go_on.wait(10)

    monkeypatch.setattr(logfile.LogFile, "let_go", pause)
    first = quiet()
    first.info("line 0")
    assert first.flush()
    del first
    gc.collect()
    assert is_closed.wait(10)
    [file] = named("train")
    forget = file._forget
    monkeypatch.setattr(file, "_forget", lambda unused: (forget(unused), is_over.set()))
    try:
        second = quiet()
    finally:
        may_go_on.set()
    assert is_over.wait(10)
    second.info("line 1")
    assert second.flush()

    assert named("train") == (file,)
    assert numbers("train.log") == [0, 1]


def test_what_a_logger_said_before_it_was_gone_is_in_its_file() -> None:
    def say(number: int) -> None:
        logger = quiet(f"trial-{number}")
        with experiment_context("search", f"trial-{number}", logger=logger) as run:
            logger.info("line %d", number)
            run.log_metrics({"loss": 1.0})

    for number in range(50):
        say(number)
        gc.collect()

    assert all(numbers(f"trial-{number}.log") == [number] for number in range(50))


@counts_open_files
def test_close_gives_files_and_handlers_back_and_a_later_line_opens_them() -> None:
    logger = quiet(json_logging=True)
    handler = logging.FileHandler("logs.txt", delay=True)
    logger.add_handler(handler)
    logger.info("line 1")
    assert held() > 0
    logger.close()
    assert held() == 0

    logger.error("line 2")
    logger.flush()
    assert numbers("train.log") == [1, 2]
    assert Path("logs.txt").read_text() == "line 1\nline 2\n"
    logger.close()
    assert held() == 0


@counts_open_files
@pytest.mark.slow
def test_three_thousand_names_fit_a_limit_of_256_open_files(finished: Callable[..., tuple[int, str, str]]) -> None:
    returned, out, err = finished(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        living = []
        for number in range(3_000):
            logger = MLLogger(f"name-{number}")
            logger.handlers[0].setLevel(100)
            logger.info("line %d", number)
            if number % 4 == 0:
                living.append(logger)
            if number % 500 == 0:
                open("checkpoint.bin", "wb").close()
                with experiment_context("search", logger=logger):
                    logger.log_metrics({"loss": 1.0})
        for logger in living[::50]:
            logger.info("line %d", 1)
            assert logger.flush()
        print(len(os.listdir("/proc/self/fd")))
        """,
        prelude="import os\nfrom refunc.logging import MLLogger, experiment_context\n",
        REFUNC_QUIET="1",
        deadline=100,  # stdlib looks through all loggers whenever a level is set
    )

    assert (returned, err) == (0, "")
    assert int(out) < 60
    assert len(sizes()) == 3_000  # now that the process has ended, which writes the last ones
    assert numbers("name-2999.log") == [2_999]
    assert numbers("name-0.log") == [0, 1]
