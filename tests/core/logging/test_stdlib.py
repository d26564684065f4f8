"""refunc among other users of stdlib logging: no handlers of others are touched, and lines go both ways."""

from __future__ import annotations

import io
import logging
import logging.config
import warnings
from collections.abc import Iterator

import pytest

from refunc.logging import ConsoleHandler, MLLogger, RunHandler, experiment_context, get_logger, setup_logging


@pytest.fixture
def root_stream() -> Iterator[io.StringIO]:
    """A handler on the root logger that another library put there."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s|%(levelname)s|%(message)s"))
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def test_records_propagate_to_root_handlers_and_caplog(
    root_stream: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    MLLogger("mine").metric("loss %s", "low", metrics={"loss": 0.5})

    assert root_stream.getvalue() == "mine|METRIC|loss low loss=0.5\n"
    assert caplog.messages == ["loss low loss=0.5"]


def test_handlers_of_others_survive_loggers_and_setup(root_stream: io.StringIO) -> None:
    theirs = logging.NullHandler()
    logging.getLogger("shared").addHandler(theirs)
    before = list(logging.getLogger().handlers)

    MLLogger("shared")
    MLLogger("shared", level="DEBUG")
    setup_logging(level="DEBUG")

    assert theirs in logging.getLogger("shared").handlers
    assert logging.getLogger().handlers == before


def test_two_loggers_of_a_name_show_a_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    MLLogger("same")
    MLLogger("same").info("only once")

    assert capsys.readouterr().err.count("only once") == 1


def test_a_child_logger_shows_a_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    MLLogger("parent")
    MLLogger("parent.child").info("only once")

    assert capsys.readouterr().err.count("only once") == 1


def test_the_console_is_silent_only_where_root_shows_the_record_on_the_same_stream(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sys

    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        logger = MLLogger("root-aware")
        logger.info("root does not show this")
        logger.warning("root shows this")
    finally:
        logging.getLogger().removeHandler(handler)

    shown = capsys.readouterr().err
    assert shown.count("root does not show this") == 1
    assert shown.count("root shows this") == 1


def test_extra_reaches_other_handlers_as_attributes_and_a_taken_name_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    MLLogger("extra").info("text", extra={"batch": 7, "name": "taken", "message": "taken"})

    (record,) = caplog.records
    assert record.batch == 7
    assert (record.name, record.getMessage()) == ("extra", "text")


def test_a_stdlib_filter_on_the_logger_is_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("filtered").addFilter(lambda record: "secret" not in record.getMessage())
    logger = MLLogger("filtered")

    logger.info("a secret")
    logger.info("no such thing")

    assert caplog.messages == ["no such thing"]
    logging.getLogger("filtered").filters.clear()


def test_run_handler_from_dict_config_brings_other_libraries_into_the_run() -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"run": {"class": "refunc.logging.RunHandler", "level": "INFO"}},
            "loggers": {"somelib": {"handlers": ["run"], "level": "DEBUG"}},
        }
    )
    logger = MLLogger("mine")

    with experiment_context("e", "r"):
        logging.getLogger("somelib.part").warning("disk at %d %%", 97, extra={"host": "n07"})
        logging.getLogger("somelib").debug("below the handler's level")
        try:
            raise OSError("gone")
        except OSError:
            logging.getLogger("somelib").exception("failed")
        entries = logger.get_log_entries(min_level="WARNING")

    assert [(entry.logger_name, entry.level, entry.message) for entry in entries] == [
        ("somelib.part", "WARNING", "disk at 97 %"),
        ("somelib", "ERROR", "failed"),
    ]
    assert entries[0].extra == {"host": "n07"}
    assert "OSError: gone" in entries[1].extra["exception"]


def test_run_handler_on_root_does_not_double_refuncs_own_lines() -> None:
    handler = RunHandler()
    logging.getLogger().addHandler(handler)
    try:
        logger = MLLogger("mine")
        logger.info("mine")
        logging.getLogger("theirs").warning("theirs")
        logging.getLogger("refunc.journal").warning("about refunc itself")
    finally:
        logging.getLogger().removeHandler(handler)

    assert [entry.message for entry in logger.get_log_entries()] == ["mine", "theirs"]


def test_run_handler_never_raises(capsys: pytest.CaptureFixture[str]) -> None:
    handler = RunHandler()
    logger = logging.getLogger("hostile")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        logger.warning("%d", "no number")
    finally:
        logger.propagate = True

    assert "no number" in capsys.readouterr().err  # as every stdlib handler says it


def test_warnings_are_captured_on_request_and_not_otherwise() -> None:
    setup_logging(capture_warnings=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            # Entering the block undid the capture; these calls set it up as in a script without the block.
            logging.captureWarnings(False)
            logging.captureWarnings(True)
            warnings.warn("learning rate is 0", UserWarning, stacklevel=1)
        entries = get_logger().get_log_entries(level="WARNING")
    finally:
        setup_logging(capture_warnings=False)

    assert [entry.logger_name for entry in entries] == ["py.warnings"]
    assert "UserWarning: learning rate is 0" in entries[0].message
    assert not any(isinstance(handler, RunHandler) for handler in logging.getLogger("py.warnings").handlers)


def test_what_others_put_on_py_warnings_stays_whatever_setup_says() -> None:
    theirs: list[logging.Handler] = [RunHandler(), ConsoleHandler()]
    logger = logging.getLogger("py.warnings")
    for handler in theirs:
        logger.addHandler(handler)
    logging.captureWarnings(True)
    try:
        capturing = warnings.showwarning
        for capture in (False, True, False):
            setup_logging(capture_warnings=capture)
            assert logger.handlers == theirs
            assert warnings.showwarning is capturing
    finally:
        logging.captureWarnings(False)


def test_capturing_warnings_is_undone_as_far_as_it_was_refuncs() -> None:
    logger = logging.getLogger("py.warnings")
    theirs = logging.NullHandler()
    logger.addHandler(theirs)
    before = warnings.showwarning

    setup_logging(capture_warnings=True)
    setup_logging(capture_warnings=True)
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler, RunHandler, ConsoleHandler]
    assert warnings.showwarning is not before
    setup_logging()

    assert logger.handlers == [theirs]
    assert warnings.showwarning is before


def test_a_formatter_of_refunc_works_on_any_logger() -> None:
    from refunc.logging import JSONFormatter

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter())
    logger = logging.getLogger("plain")
    logger.addHandler(handler)

    logger.warning("plain %s", "text", extra={"rank": 3})

    assert '"message":"plain text"' in stream.getvalue()
    assert '"rank":3' in stream.getvalue()


def test_a_logger_called_root_leaves_the_root_logger_alone() -> None:
    level = logging.getLogger().level

    MLLogger("root", level="DEBUG").debug("text")

    assert logging.getLogger().level == level
