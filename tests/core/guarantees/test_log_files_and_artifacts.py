"""Files beside the journal: log files keep every line, and an artifact keeps the contents it was logged with."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.record import Artifact
from refunc.logging import ExperimentTracker, MLLogger
from refunc.outlets.locks import is_locked
from refunc.runs.store import open_store


def _quiet(name: str, **options: Any) -> MLLogger:
    import logging

    log = MLLogger(name, "INFO", **options)
    logging.getLogger(name).handlers[:] = [logging.NullHandler()]
    return log


def _numbers(path: Path) -> list[int]:
    return [int(line.rsplit("line ", 1)[1].split()[0]) for line in path.read_text().splitlines() if "line " in line]


def test_rotation_keeps_every_line_but_those_rotated_out() -> None:
    log = _quiet("train", max_log_files=4, max_file_size="4KB")
    for n in range(600):
        log.info("line %d", n)
        if n % 20 == 0:
            log.flush()
    log.flush()

    files = [Path("logs", f"train.log{suffix}") for suffix in (".3", ".2", ".1", "")]
    assert sorted(Path("logs").glob("train*")) == sorted(files)
    found = [number for file in files for number in _numbers(file)]
    assert found == list(range(found[0], 600))
    assert all(file.stat().st_size < 8_192 for file in files)


def test_one_file_at_most_is_one_file() -> None:
    log = _quiet("train", max_log_files=1, max_file_size="1KB")
    for n in range(100):
        log.info("line %d", n)
        log.flush()

    assert [path.name for path in Path("logs").glob("train*")] == ["train.log"]
    assert _numbers(Path("logs/train.log"))[-1] == 99


def test_error_lines_are_in_the_file_when_the_call_returns(finished: Callable[..., tuple[int, str, str]]) -> None:
    returned, _, _ = finished("""
    log = MLLogger("train", "INFO", json_logging=True)
    log.info("line 1"); log.error("line 2")
    os.kill(os.getpid(), signal.SIGKILL)
    """)

    assert returned == -9
    assert _numbers(Path("logs/train.log")) == [1, 2]
    lines = [json.loads(line) for line in Path("logs/train.jsonl").read_text().splitlines()]
    assert [line["message"] for line in lines] == ["line 1", "line 2"]


def test_a_second_process_has_a_file_with_its_pid(script: Callable[..., subprocess.Popen[str]]) -> None:
    log = _quiet("train")
    log.error("line 1")

    process = script('MLLogger("train", "INFO").error("line 2")')
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err

    assert _numbers(Path("logs/train.log")) == [1]
    assert _numbers(Path(f"logs/train.{process.pid}.log")) == [2]


def test_a_forked_child_has_a_file_with_its_pid(finished: Callable[..., tuple[int, str, str]]) -> None:
    returned, out, err = finished(
        """
        log = MLLogger("train", "INFO")
        log.error("line 1")
        pid = os.fork()
        if not pid:
            log.error("line 2")
            os._exit(0)
        os.waitpid(pid, 0)
        log.error("line 3")
        print(pid)
        """,
        prelude="import os, warnings; warnings.filterwarnings('ignore', '.*use of fork.*')\n"
        "from refunc.logging import MLLogger\n",
    )

    assert returned == 0, err
    assert _numbers(Path("logs/train.log")) == [1, 3]
    assert _numbers(Path(f"logs/train.{int(out)}.log")) == [2]


def _held(path: Path) -> int:
    """Return how many descriptors of the file *path* this process has; the fsync thread may have others open."""
    info, count = path.stat(), 0
    for number in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # that of the listing is closed
            count += os.path.samestat(info, os.fstat(int(number)))
    return count


def test_loggers_of_one_name_write_one_file_and_hold_it_open_once() -> None:
    """A notebook cell that is run again, or the same name in two modules."""
    logs = [_quiet("train") for _ in range(3)]
    logs[0].error("line 0")
    logs += [_quiet("train") for _ in range(50)]
    for n, log in enumerate(logs[1:], 1):
        log.error("line %d", n)

    assert [path.name for path in Path("logs").glob("train*")] == ["train.log"]
    assert _numbers(Path("logs/train.log")) == list(range(53))
    assert _held(Path("logs/train.log")) == 1


def test_two_spellings_of_a_folder_are_one_folder() -> None:
    Path("logs").mkdir()
    Path("link").symlink_to("logs")
    for n, folder in enumerate(("logs", "link", "logs/../logs", Path("logs").absolute())):
        _quiet("train", log_dir=folder).error("line %d", n)

    assert [path.name for path in Path("logs").iterdir()] == ["train.log"]
    assert _numbers(Path("logs/train.log")) == [0, 1, 2, 3]


def test_the_latest_logger_of_a_name_decides_the_limits_of_its_file() -> None:
    first = _quiet("train")
    first.error("line 0")
    latest = _quiet("train", max_log_files=2, max_file_size="1KB")
    for n in range(1, 100):
        (first, latest)[n % 2].error("line %d", n)

    assert sorted(path.name for path in Path("logs").glob("train*")) == ["train.log", "train.log.1"]
    assert _numbers(Path("logs/train.log"))[-1] == 99


def test_a_file_that_no_logger_of_the_name_uses_any_more_is_closed() -> None:
    first, second = _quiet("train", json_logging=True), _quiet("train", json_logging=True)
    first.error("line 0")
    assert is_locked(Path("logs/train.jsonl"))

    second._configure("INFO", None, True, False, False, 10, "1MB", "async")
    assert is_locked(Path("logs/train.jsonl"))  # the first one's still
    first._configure("INFO", "elsewhere", True, False, False, 10, "1MB", "async")

    assert is_locked(Path("logs/train.log"))  # the second one's still
    assert not is_locked(Path("logs/train.jsonl"))


def test_what_a_logger_that_is_gone_left_open_is_closed_by_the_next_of_its_name() -> None:
    _quiet("train", log_dir="before").error("line 0")
    gc.collect()
    after = _quiet("train", log_dir="after")
    after.error("line 1")

    assert not is_locked(Path("before/train.log"))
    assert is_locked(Path("after/train.log"))


def test_back_in_a_folder_a_file_goes_on_where_it_ended() -> None:
    log = _quiet("train")
    for n, folder in enumerate(("logs", "other", "logs")):
        log._configure("INFO", folder, True, False, False, 10, "1MB", "async")
        log.error("line %d", n)

    assert _numbers(Path("logs/train.log")) == [0, 2]
    assert [path.name for path in Path("logs").glob("train*")] == ["train.log"]


def test_a_deleted_log_file_moves_no_older_one() -> None:
    log = _quiet("train", max_log_files=3, max_file_size="1KB")
    current, older = Path("logs/train.log"), Path("logs/train.log.1")
    for _ in range(50):
        log.error("padding %s", "-" * 20)
    before = older.read_text()
    current.unlink()
    for _ in range(50):  # until the file that has no name any more is full
        log.error("padding %s", "-" * 20)
        if current.exists():
            break

    assert current.exists()
    assert older.read_text() == before


def test_loggers_of_one_name_in_a_forked_child_share_a_file_with_its_pid(
    finished: Callable[..., tuple[int, str, str]],
) -> None:
    returned, out, err = finished(
        """
        log = MLLogger("train", "INFO")
        log.error("line 1")
        pid = os.fork()
        if not pid:
            log.error("line 2")
            MLLogger("train", "INFO").error("line 3")
            log.error("line 4")
            os._exit(0)
        os.waitpid(pid, 0)
        MLLogger("train", "INFO").error("line 5")
        print(pid)
        """,
        prelude="import os, warnings; warnings.filterwarnings('ignore', '.*use of fork.*')\n"
        "from refunc.logging import MLLogger\n",
    )

    assert returned == 0, err
    assert _numbers(Path("logs/train.log")) == [1, 5]
    assert _numbers(Path(f"logs/train.{int(out)}.log")) == [2, 3, 4]


# -- artifacts -------------------------------------------------------------------------------------------------------


@pytest.fixture
def tracker() -> ExperimentTracker:
    tracker = ExperimentTracker("e", logger=MLLogger("quiet", "CRITICAL"))
    tracker.start_run()
    return tracker


def _artifacts(tracker: ExperimentTracker) -> list[Artifact]:
    tracker.end_run()
    [run] = open_store()
    return [record for record in run.records() if isinstance(record, Artifact)]


def test_a_file_overwritten_later_does_not_change_the_run(tracker: ExperimentTracker) -> None:
    Path("model.pt").write_bytes(b"first")
    tracker.log_artifact("model.pt", "model")
    Path("model.pt").write_bytes(b"second, and longer")

    [artifact] = _artifacts(tracker)
    assert tracker.folder is not None
    assert artifact.stored is not None
    assert (tracker.folder / artifact.stored).read_bytes() == b"first"
    assert (artifact.size, artifact.type) == (5, "model")


def test_the_same_content_is_stored_once(tracker: ExperimentTracker) -> None:
    for name in ("a.bin", "b.bin", "c.bin"):
        Path(name).write_bytes(b"same" * 1_000)
        tracker.log_artifact(name)

    artifacts = _artifacts(tracker)
    assert [artifact.name for artifact in artifacts] == ["a.bin", "b.bin", "c.bin"]
    assert len({artifact.stored for artifact in artifacts}) == 1
    assert tracker.folder is not None
    assert len(list((tracker.folder / "artifacts").iterdir())) == 1


def test_a_folder_is_kept_with_all_its_files(tracker: ExperimentTracker) -> None:
    Path("model/sub").mkdir(parents=True)
    Path("model/a.txt").write_text("a")
    Path("model/sub/b.txt").write_text("bb")
    tracker.log_artifact("model")

    [artifact] = _artifacts(tracker)
    assert (artifact.files, artifact.size) == (2, 3)
    assert tracker.folder is not None
    assert artifact.stored is not None
    listed = json.loads((tracker.folder / artifact.stored).read_text())
    contents = {entry["path"]: (tracker.folder / entry["stored"]).read_text() for entry in listed}
    assert contents == {"a.txt": "a", "sub/b.txt": "bb"}


def test_a_dangling_link_in_a_folder_does_not_lose_the_others(tracker: ExperimentTracker) -> None:
    Path("model").mkdir()
    Path("model/a.txt").write_text("a")
    Path("model/latest").symlink_to("nowhere")
    tracker.log_artifact("model")

    [artifact] = _artifacts(tracker)
    assert artifact.files == 1


def test_a_missing_file_is_one_warning(tracker: ExperimentTracker, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        tracker.log_artifact("missing.pt")

    assert _artifacts(tracker) == []
    assert len([record for record in caplog.records if "missing.pt" in record.getMessage()]) == 1


@pytest.mark.parametrize(("copy", "stored"), [(None, False), (False, False), (True, True)])
def test_a_large_file_is_a_reference_unless_a_copy_is_wanted(
    copy: bool | None, stored: bool, tracker: ExperimentTracker, require: Callable[[bool, str], None]
) -> None:
    size = (64 << 20) + 1
    with open("large.bin", "wb") as file:
        file.truncate(size)
    tracker.log_artifact("large.bin", copy=copy)

    [artifact] = _artifacts(tracker)
    assert artifact.size == size
    if copy is None and artifact.stored is not None:
        require(False, "a file system without reflinks")
    assert (artifact.stored is not None) == stored
    assert artifact.source == str(Path("large.bin").absolute())


def test_a_small_file_with_copy_false_is_a_reference(tracker: ExperimentTracker) -> None:
    Path("small.bin").write_bytes(b"x")
    tracker.log_artifact("small.bin", copy=False)

    [artifact] = _artifacts(tracker)
    assert artifact.stored is None
    assert tracker.folder is not None
    assert not (tracker.folder / "artifacts").exists()


# -- names -----------------------------------------------------------------------------------------------------------

NAMES = [
    "../../outside", "/etc/passwd", "..", ".", "", " ", "a\x00b", "a\nb", "😀" * 20, "x" * 10_000, "CON", "con.txt",
    "-rf", "a/b\\c", "\ud800", "\u202e", "~", "%s%n", "a" * 255 + "/..", "日本語", "\x1b[31m", "name.", "..\\..\\x",
    "$(reboot)",
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(NAMES)))
def test_no_name_becomes_a_path_or_an_exception(index: int, own_folder: Path) -> None:
    """As an experiment, a run, a logger, an artifact, a metric, a param or a tag."""
    name = NAMES[index]
    before = set(own_folder.parent.iterdir())
    Path("file.bin").write_bytes(b"x")
    log = _quiet(name)
    tracker = ExperimentTracker(name, name, logger=log)
    with tracker:
        tracker.log_metrics({name: 1.5})
        tracker.log_hyperparams({name: {name: name}})
        tracker.add_tags({name: name})
        tracker.log_result(name, 1)
        tracker.log_artifact("file.bin", name, name=name)
        tracker.log_artifact(name)
        log.error(name, extra={name: name}, tags={name: name})

    assert {path.name for path in own_folder.iterdir()} == {"file.bin", "experiments", "logs"}
    assert set(own_folder.parent.iterdir()) == before
    [run] = open_store()
    assert len(os.listdir("experiments")) == 1
    for path in run.folder.glob("journal/*.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True):
            json.loads(line, parse_constant=pytest.fail)
    assert json.loads((run.folder / "run.json").read_bytes())["experiment_name"] == name
    assert run.summary.tags
    assert run.summary.points == 2  # of a call, and of a result


def test_half_a_line_of_a_killed_process_is_not_joined_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "train.log").write_text("15:00:00 INFO cut in the mid")

    logger = MLLogger("train", log_dir="logs")
    logger.info("whole")
    logger.flush()

    first, second = (tmp_path / "logs" / "train.log").read_text().splitlines()
    assert first == "15:00:00 INFO cut in the mid"
    assert second.endswith("whole")
