"""Configuration: defaults, allowed values, and mistakes that are said at once."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import LogLevel, MLLogger, experiment_context, get_logger, named, setup_logging
from refunc.logging.shared_loggers import default_logger

BAD_OPTIONS = [
    ({"level": "LOUD"}, "level: 'LOUD' is not a log level. Allowed: TRACE, DEBUG, INFO"),
    ({"level": 1_000}, "level: 1000 is not a log level"),
    ({"level": True}, "level: True is not a log level"),
    ({"max_file_size": "-1MB"}, "max_file_size: '-1MB' is not a size from 1KB to 1TB"),
    ({"max_file_size": "a lot"}, "max_file_size: 'a lot' is not a size"),
    ({"max_file_size": 3}, "max_file_size: 3 is not a size"),
    ({"max_file_size": "9999TB"}, "max_file_size: '9999TB' is not a size"),
    ({"max_log_files": 0}, "max_log_files: 0 is not allowed. Allowed: a whole number from 1"),
    ({"max_log_files": -3}, "max_log_files: -3 is not allowed"),
    ({"max_log_files": 2.5}, "max_log_files: 2.5 is not allowed"),
    ({"durability": "forever"}, "durability: 'forever' is not known. Allowed: async, process, disk."),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_a_bad_option_is_a_value_error_that_names_option_value_and_what_is_allowed(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        MLLogger("bad", **options)


def test_a_bad_option_of_setup_changes_nothing() -> None:
    logger = get_logger("kept")
    with pytest.raises(ValueError, match="max_log_files"):
        setup_logging(level="DEBUG", max_log_files=0)

    assert (logger.level, get_logger().level, get_logger("new").level) == (20, 20, 20)


@pytest.mark.parametrize(
    ("size", "expected"),
    [("100MB", 100 << 20), ("1.5 gb", 3 << 29), ("500KiB", 500 << 10), (4096, 4096), ("2048", 2048)],
)
def test_sizes_are_read_as_people_write_them(size: Any, expected: int) -> None:
    from refunc.logging.logfiles.rotation import check_max_bytes

    assert check_max_bytes(size) == expected


def test_get_logger_gives_the_same_logger_and_setup_reaches_it_later() -> None:
    logger = get_logger("train")

    setup_logging(level="DEBUG", log_dir="elsewhere", json_logging=True)
    logger.debug("now shown")
    logger.flush()

    assert get_logger("train") is logger
    assert sorted(path.name for path in Path("elsewhere").iterdir()) == ["train.jsonl", "train.log"]


def test_the_logger_of_a_name_is_the_last_one_made_and_goes_with_its_last_user() -> None:
    first, second, other = MLLogger("twice"), MLLogger("twice"), MLLogger("other")
    assert named.latest("twice") is second
    assert {*named.all_latest()} == {second, other}

    del first, second
    gc.collect()

    assert named.latest("twice") is None
    assert named.latest("refunc") is None
    assert default_logger() is get_logger()


def test_refuncs_own_lines_come_from_the_scripts_own_default_logger() -> None:
    own = MLLogger(level="ERROR")

    with experiment_context("e") as run:
        assert run.logger is own
        assert run.logger.level == LogLevel.ERROR


def test_a_logger_makes_nothing_before_its_first_line() -> None:
    before = set(threading.enumerate())

    MLLogger("lazy", log_dir="logs", json_logging=True)
    setup_logging()

    assert list(Path.cwd().iterdir()) == []
    assert set(threading.enumerate()) <= before


def test_text_and_json_log_files_hold_the_lines() -> None:
    logger = MLLogger("files", log_dir="logs", json_logging=True)
    logger.info("started", metrics={"loss": 0.5})
    logger.error("at once")

    text = Path("logs/files.log").read_text()
    assert re.search(r"INFO +files +started +loss=0.5\n", text)
    assert "at once" in text
    assert '"message":"started"' in Path("logs/files.jsonl").read_text()
    assert "\x1b" not in text


NAMES = ["../../escape", "a/b", "nul\0byte", "two\nlines", "🔥" * 50, "x" * 10_000, "", "con", ".hidden", "C:\\x", " "]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_becomes_a_path(name: str, tmp_path: Path) -> None:
    outside = set(tmp_path.parent.iterdir())
    logger = MLLogger(name, log_dir="logs")

    with experiment_context(name, name, tags={name: name}) as run:
        logger.info(name)
        logger.log_metrics({name: 1.0})
        logger.log_hyperparams({name: name})
        Path("file.bin").write_bytes(b"1")
        logger.log_artifact("file.bin", artifact_type=name, name=name)
    logger.flush()

    assert run.folder is not None
    assert run.folder.parent == tmp_path / "experiments"
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "experiments", "file.bin"}
    assert all(path.parent == tmp_path / "logs" for path in (tmp_path / "logs").rglob("*"))
    assert set(tmp_path.parent.iterdir()) == outside
    assert len(max((str(p.name) for p in tmp_path.rglob("*")), key=len)) < 100


def test_a_control_character_never_reaches_a_terminal_raw(capsys: pytest.CaptureFixture[str]) -> None:
    logger = MLLogger("hostile\x1b[2J", log_dir="logs")
    logger.error("cleared \x1b[2J \x9b31m \r overwritten \u202e reversed", extra={"k\x1b": "v\x1b[0m"})
    logger.flush()

    everything = capsys.readouterr().err + "".join(p.read_text() for p in Path("logs").iterdir())
    for control in "\x1b\x9b\r\u202e":
        assert control not in everything


IMPORT = """
import sys, threading
before = set(sys.modules)
import refunc.logging
from refunc.logging import MLLogger
logger = MLLogger("x")
assert threading.active_count() == 1, threading.enumerate()
heavy = {"numpy", "tqdm", "mlflow", "wandb", "attrs", "attr", "msgspec", "click", "rich", "pluggy", "socket"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_importing_loads_nothing_heavy_and_leaves_no_thread_or_file(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", IMPORT], check=True)

    assert list(tmp_path.iterdir()) == []


def test_every_exported_name_is_there_and_a_misspelt_one_is_not() -> None:
    import refunc.logging

    for name in refunc.logging.__all__:
        assert getattr(refunc.logging, name) is not None
        assert name in dir(refunc.logging)
    with pytest.raises(AttributeError, match="MLLoger"):
        refunc.logging.MLLoger  # type: ignore[attr-defined]  # noqa: B018
