"""`refunc logs` and `refunc tail`: the lines of a run as its console showed them, and those of a running one."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker, MLLogger, experiment_context

pytestmark = [pytest.mark.once, pytest.mark.extras]

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = "[bold red]x[/] \x1b[31m\u202e\rover\n2026-01-01 00:00:00 ERROR      train  forged"

#: A training that takes its orders from stdin, one line of code at a time.
TRAINING = """
import os, sys
from refunc.logging import MLLogger, experiment_context
logger = MLLogger("train")
with experiment_context("digits", "live"):
    logger.info("begun")
    logger.flush()
    print("ready", flush=True)
    for order in sys.stdin:
        if order.strip() == "end":
            break
        exec(order)
"""


@pytest.fixture(autouse=True)
def leaves_nothing(clean_process: None) -> None:
    """Have `clean_process` for every test."""


@pytest.fixture
def training(script: Callable[..., subprocess.Popen[str]]) -> subprocess.Popen[str]:
    process = script(TRAINING, prelude="")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def prelude() -> str:
    return ""


def order(process: subprocess.Popen[str], code: str) -> None:
    assert process.stdin is not None
    process.stdin.write(code + "\n")
    process.stdin.flush()


def some_run(name: str = "base") -> Any:
    logger = MLLogger("train", level="DEBUG")
    with experiment_context("digits", name) as run:
        logger.info("hello", metrics={"loss": 0.5}, tags={"phase": "warm-up"})
        logger.log_metrics({"loss": 0.25}, step=7)
        logger.warning("careful")
        logger.debug("details")
        try:
            raise MemoryError("CUDA out of memory")
        except MemoryError:
            logger.exception("broken")
    return run


def messages(result: Any) -> list[str]:
    assert (result.exit_code, result.stderr) == (0, "")
    return [json.loads(line)["message"] for line in result.stdout.splitlines()]


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# -- logs -------------------------------------------------------------------------------------------------------------


def test_lines_come_oldest_first_with_what_the_console_showed(invoke: Any, capfd: pytest.CaptureFixture[str]) -> None:
    some_run()
    console = capfd.readouterr().err

    lines = invoke("logs", "base").stdout

    assert re.findall("hello|careful|broken", lines) == [
        "hello",
        "careful",
        "broken",
    ]
    assert "hello  loss=0.5  phase=warm-up" in console
    for line in console.splitlines():
        if re.search("hello|careful|broken", line):
            assert line.split(" ", 1)[1] in lines
    assert "\n    MemoryError: CUDA out of memory\n" in lines


def test_colours_are_those_of_the_training(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from refunc.logging import LogLevel
    from refunc.logging.formatters.schemes import SCHEMES

    some_run()
    monkeypatch.setenv("FORCE_COLOR", "1")

    lines = invoke("logs", "base").stdout

    warning = SCHEMES["default"].levels[LogLevel.WARNING]
    assert f"\x1b[{warning}mWARNING\x1b[0m" in lines
    monkeypatch.delenv("FORCE_COLOR")
    assert ESCAPES.sub("", lines) == invoke("logs", "base").stdout


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ((), ["hello", "careful", "details", "broken"]),
        (("--level", "warning"), ["careful", "broken"]),
        (("--level", "40"), ["broken"]),
        (("--grep", "CARE"), ["careful"]),
        (("--grep", "out of memory"), ["broken"]),
        (("-n", "2"), ["details", "broken"]),
        (("-n", "1", "--level", "INFO", "--grep", "hello"), ["hello"]),
        (("--since", "1h"), ["hello", "careful", "details", "broken"]),
        (("--all", "--level", "METRIC"), ["metrics", "careful", "broken"]),
    ],
)
def test_options_choose(invoke: Any, options: tuple[str, ...], wanted: list[str]) -> None:
    some_run()

    assert messages(invoke("logs", "base", "--json", *options)) == wanted


@pytest.mark.parametrize("options", [("--until", "1h"), ("--since", "2020-01-01", "--until", "2020-01-02 10:00")])
def test_no_lines_of_a_time_are_said(invoke: Any, options: tuple[str, ...]) -> None:
    some_run()

    result = invoke("logs", "base", "--json", *options)

    assert (result.exit_code, result.stdout, result.stderr.endswith(" match.\n")) == (0, "", True)


def test_all_shows_every_record(invoke: Any) -> None:
    some_run()

    result = invoke("logs", "base", "--all")

    assert "loss=0.25  [step 7]" in result.stdout
    assert "run started" in result.stdout
    assert "run ended: completed" in result.stdout


@pytest.mark.parametrize(
    "options", [("--level", "loud"), ("--since", "yesterday-ish"), ("--since", "99:99"), ("-n", "0")]
)
def test_a_mistaken_option_exits_with_2(invoke: Any, options: tuple[str, ...]) -> None:
    some_run()

    result = invoke("logs", "base", *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


def test_times_are_local_and_of_today_where_no_date_is_given(invoke: Any) -> None:
    from refunc_commands.cli.moments import parse_moment

    assert time.localtime(parse_moment("14:30"))[:5] == (*time.localtime()[:3], 14, 30)
    assert time.localtime(parse_moment("2026-11-23 14:30:05"))[:6] == (2026, 11, 23, 14, 30, 5)
    assert parse_moment("2026-11-23T14:30:05Z") == 1795444205.0
    assert parse_moment("1700000000.5") == 1700000000.5
    assert abs(parse_moment("10m") - (time.time() - 600)) < 5


def test_hostile_text_stays_text(invoke: Any) -> None:
    logger = MLLogger("train\x1b[0m")
    with experiment_context("digits", "hostile"):
        logger.warning(HOSTILE, tags={"\x1b]0;x\x07": "\x9b31m"})

    for options in ((), ("--all",), ("--json",)):
        result = invoke("logs", "hostile", *options)
        assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", result.stdout) is None
    assert "\n    2026-01-01 00:00:00 ERROR" in invoke("logs", "hostile").stdout


def test_on_a_terminal_a_long_line_goes_on_indented(in_terminal: Callable[..., str]) -> None:
    logger = MLLogger("train")
    with experiment_context("digits", "long"):
        logger.info("word " * 30 + "模型" * 20)

    for columns in (40, 80):
        first, *others = ESCAPES.sub("", in_terminal("logs", "long", columns=columns)).splitlines()
        assert others
        assert all(line.startswith("    ") for line in others)
        assert all(len(line) + len(re.findall("[模型]", line)) <= columns for line in (first, *others))
        assert "".join((first, *others)).replace(" ", "").endswith("word" * 30 + "模型" * 20)


def test_a_level_that_only_the_training_knew_keeps_its_name(invoke: Any) -> None:
    import logging

    logging.addLevelName(33, "NOTICE")
    logger = MLLogger("train")
    with experiment_context("digits", "own level"):
        logger.log(33, "heard")
    logging._levelToName.pop(33)
    logging._nameToLevel.pop("NOTICE")

    assert " NOTICE     train  heard" in invoke("logs", "own level").stdout


def test_nothing_of_the_run_is_changed(invoke: Any) -> None:
    folder = some_run().folder
    before = snapshot(folder)

    invoke("logs", "base", "--all")
    invoke("tail", "base")
    invoke("tail", "-f", "base")

    assert snapshot(folder) == before


# -- tail -------------------------------------------------------------------------------------------------------------


def test_tail_prints_the_last_lines(invoke: Any) -> None:
    with ExperimentTracker("digits", "many") as tracker:
        logger = MLLogger("train")
        for number in range(30):
            logger.info("line %d", number)
        assert tracker.folder is not None

    assert messages(invoke("tail", "many", "--json")) == [f"line {number}" for number in range(20, 30)]
    assert messages(invoke("tail", "-n", "0", "many", "--json")) == []
    assert messages(invoke("tail", "-n", "2", "many", "--json")) == ["line 28", "line 29"]


def test_following_shows_lines_of_another_process_within_a_second(
    training: subprocess.Popen[str], running: Callable[..., subprocess.Popen[str]]
) -> None:
    follower = running("tail", "-f", "live", "--json")
    assert follower.stdout is not None
    assert json.loads(follower.stdout.readline())["message"] == "begun"

    took = []
    for number in range(5):
        order(training, f"logger.info('line %d', {number})")
        entry = json.loads(follower.stdout.readline())
        assert entry["message"] == f"line {number}"
        took.append(time.time() - entry["timestamp"])
    assert min(took) < 1, "a busy machine delays some, and not each"

    order(training, "end")
    rest, errors = follower.communicate(timeout=60)
    assert rest == ""
    assert re.fullmatch(r"refunc: the run ended: completed after .*\n", errors)
    assert follower.returncode == 0


def test_following_takes_each_line_once_from_every_writer_that_comes(
    training: subprocess.Popen[str], running: Callable[..., subprocess.Popen[str]]
) -> None:
    """A child that logs first while the run is followed is a writer, and a segment, of its own."""
    follower = running("tail", "-f", "live", "--json", "-n", "1000")
    assert follower.stdout is not None
    assert json.loads(follower.stdout.readline())["message"] == "begun"

    # In one order: parent and child read the same stdin.
    child = "[logger.info('child %d', n) for n in range(50)], logger.flush(), os._exit(0)"
    order(training, f"pid = os.fork(); pid or ({child}); os.waitpid(pid, 0)")
    order(training, "[logger.info('parent %d', n) for n in range(50)]")
    order(training, "end")
    seen = [json.loads(line)["message"] for line in follower.communicate(timeout=60)[0].splitlines()]

    for who in ("child", "parent"):
        assert [line for line in seen if line.startswith(who)] == [f"{who} {number}" for number in range(50)]


def test_a_run_that_has_not_begun_yet_can_be_waited_for(
    running: Callable[..., subprocess.Popen[str]], own_folder: Path
) -> None:
    follower = running("tail", "--wait", "soon", "--json")
    assert follower.stderr is not None
    assert follower.stderr.readline() == "refunc: waiting for a run soon; Ctrl-C ends that\n"

    some_run("soon")

    out, _ = follower.communicate(timeout=60)
    assert json.loads(out.splitlines()[0])["message"] == "hello"
    assert follower.returncode == 0


def test_a_wait_needs_a_name(invoke: Any) -> None:
    some_run()

    result = invoke("tail", "--wait")

    assert (result.exit_code, "--wait needs the name" in result.stderr) == (2, True)


def test_following_says_when_the_run_crashed(
    training: subprocess.Popen[str], running: Callable[..., subprocess.Popen[str]]
) -> None:
    follower = running("tail", "-f", "live")
    assert follower.stdout is not None
    assert "begun" in follower.stdout.readline()

    training.kill()

    _, errors = follower.communicate(timeout=60)
    assert errors == "refunc: the run crashed: its process is gone, and no end was recorded\n"
    assert follower.returncode == 0


def test_following_says_when_the_folder_is_gone(
    training: subprocess.Popen[str], running: Callable[..., subprocess.Popen[str]], own_folder: Path
) -> None:
    follower = running("tail", "-f", "live")
    assert follower.stdout is not None
    assert "begun" in follower.stdout.readline()

    # In one step: the training writes there, and the follower looks.
    (own_folder / "experiments").rename(own_folder / "removed")

    assert re.fullmatch("refunc: the run's folder is gone: .*\n", follower.communicate(timeout=60)[1])
    assert follower.returncode == 2


def test_ctrl_c_ends_following_quietly(
    training: subprocess.Popen[str], running: Callable[..., subprocess.Popen[str]]
) -> None:
    follower = running("tail", "-f", "live")
    assert follower.stdout is not None
    assert "begun" in follower.stdout.readline()

    follower.send_signal(signal.SIGINT)

    assert follower.communicate(timeout=60) == ("", "")
    assert follower.returncode == 130


@pytest.mark.parametrize("command", [["logs", "base"], ["tail", "base", "--json"], ["tail", "-f", "base"]])
def test_a_closed_pipe_is_quiet(command: list[str], errors_into_closed_pipe: Callable[[list[str]], str]) -> None:
    some_run()

    assert errors_into_closed_pipe(command) == ""
