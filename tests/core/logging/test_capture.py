"""Lines of libraries that do not propagate, and warnings that Python shows by itself."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from refunc.logging import BufferedHandler, ExperimentTracker, MLLogger, RunHandler, experiment_context
from refunc.runs import Run


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    before = logging.getLogRecordFactory()
    yield logging.root
    for handler in logging.root.handlers[:]:
        if isinstance(handler, (RunHandler, BufferedHandler)):
            logging.root.removeHandler(handler)
            handler.close()
    assert logging.getLogRecordFactory() is before


def lines_of(*names: str) -> list[str]:
    """Log a line by each, some below loggers that do not propagate; return which are in the run."""
    for name in ("closed", "later.part"):
        logging.getLogger(name).propagate = False
    logger = MLLogger("mine")
    with experiment_context("e", "r"):
        for name in names:
            logging.getLogger(name).warning("x")
        return [entry.logger_name for entry in logger.get_log_entries(min_level="WARNING")]


NAMES = ("open", "open.part", "closed", "closed.part.of", "later.part", "later", "closedown")


@pytest.mark.parametrize("is_wrapped", [False, True])
@pytest.mark.parametrize(
    ("capture", "there"),
    [
        (False, ["open", "open.part", "later", "closedown"]),
        (True, list(NAMES)),
        ("closed", ["open", "open.part", "closed", "closed.part.of", "later", "closedown"]),
        (["later", "open"], ["open", "open.part", "later.part", "later", "closedown"]),
    ],
)
def test_each_line_that_is_captured_is_in_the_run_once(
    root: logging.Logger, capture: bool | str | list[str], there: list[str], is_wrapped: bool
) -> None:
    handler = RunHandler(capture=capture)
    root.addHandler(BufferedHandler(buffer_size=1, target=handler) if is_wrapped else handler)

    assert lines_of(*NAMES) == there
    handler.close()


def test_names_are_captured_where_the_handler_is_on_no_logger(root: logging.Logger) -> None:
    handler = RunHandler(capture=["open", "closed"])

    assert lines_of(*NAMES) == ["open", "open.part", "closed", "closed.part.of"]
    handler.close()
    assert lines_of(*NAMES) == []
    assert not logging.getLogger("open").handlers


def test_every_logger_is_below_root(root: logging.Logger) -> None:
    handler = RunHandler.capture("root")

    assert lines_of(*NAMES, "root") == [*NAMES, "root"]
    handler.close()
    assert lines_of(*NAMES, "root") == []


@pytest.mark.parametrize("level", ["WARNING", "ERROR"])
def test_a_line_that_several_handlers_take_is_in_the_run_once(root: logging.Logger, level: str) -> None:
    handlers = [RunHandler(level), RunHandler.capture("open", "closed"), RunHandler.capture("closed"), RunHandler()]
    root.addHandler(handlers[0])
    root.addHandler(handlers[-1])

    assert lines_of(*NAMES) == ["open", "open.part", "closed", "closed.part.of", "later", "closedown"]
    for handler in reversed(handlers):
        handler.close()


def test_a_logger_that_stops_and_goes_on_propagating_is_heard_once(root: logging.Logger) -> None:
    root.addHandler(RunHandler(capture=True))
    logger, library = MLLogger("mine"), logging.getLogger("moody.part")
    with experiment_context("e", "r"):
        for number, propagates in enumerate([True, False, False, True, False]):
            logging.getLogger("moody").propagate = propagates
            library.warning("%d", number)
        assert [entry.message for entry in logger.get_log_entries(min_level="WARNING")] == list("01234")


def test_a_library_that_looks_for_handlers_before_it_logs_finds_none(root: logging.Logger) -> None:
    root.addHandler(RunHandler(capture=["fresh"]))

    assert not logging.getLogger("fresh").handlers


def test_the_level_of_the_handler_counts_for_what_it_captures(root: logging.Logger) -> None:
    root.addHandler(RunHandler("ERROR", capture=True))
    logger, library = MLLogger("mine"), logging.getLogger("closed")
    library.propagate = False
    with experiment_context("e", "r"):
        library.warning("below")
        library.error("above")
        assert [entry.message for entry in logger.get_log_entries(min_level="WARNING")] == ["above"]


@pytest.mark.parametrize("wrong", [3, [3], [""], ""])
def test_what_cannot_be_captured_is_said_at_construction(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"capture: .* is not allowed. Allowed: True for every logger, or names"):
        RunHandler(capture=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "handlers",
    [
        "RunHandler()",
        "RunHandler('ERROR')",
        "RunHandler(), RunHandler(capture=True)",
        "AsyncHandler(target=RunHandler())",
        "BufferedHandler(target=[RunHandler(), RunHandler()])",
        "AsyncHandler(target=RunHandler('CRITICAL', capture=True))",
    ],
)
def test_what_python_shows_by_itself_it_shows_with_a_run_handler_as_well(handlers: str) -> None:
    script = f"""
import logging
from refunc.logging import *
for handler in [{handlers}]: logging.getLogger().addHandler(handler)
with experiment_context("e", "r"):
    logging.getLogger("library").warning("shown")
    logging.getLogger("library").info("not shown")
    logging.getLogger("quiet").addHandler(logging.NullHandler())
    logging.getLogger("quiet").warning("not shown")
    logging.getLogger("closed").propagate = False
    logging.getLogger("closed").warning("shown as well")
    logging.getLogger("loud").addHandler(logging.StreamHandler())
    logging.getLogger("loud").warning("by its own")
    for handler in logging.getLogger().handlers: handler.flush()
    logging.lastResort = None
    logging.getLogger("library").warning("not shown")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env={"REFUNC_QUIET": "1"}
    )

    shown = [line for line in done.stderr.splitlines() if "shown" in line or "by its" in line]
    assert sorted(shown) == ["by its own", "shown", "shown as well"], done.stderr
    assert done.returncode == 0


def test_lines_go_to_the_run_that_the_handler_was_given_but_for_those_of_a_block_within_it() -> None:
    library = logging.getLogger("given.library")
    library.propagate = False
    study, other = ExperimentTracker("study"), ExperimentTracker("other")
    study.start_run()
    other.start_run()
    handler = RunHandler.capture("given", tracker=study)
    library.warning("between the trials")
    with experiment_context("trial", parent=study) as trial:
        library.warning("in a trial")
    handler.close()
    for tracker in (other, study):
        tracker.end_run()

    def lines_of(tracker: ExperimentTracker) -> list[str]:
        return [entry.message for entry in Run.open(tracker.folder).entries() if entry.level == "WARNING"]  # type: ignore[arg-type]

    assert [lines_of(tracker) for tracker in (study, trial, other)] == [["between the trials"], ["in a trial"], []]
