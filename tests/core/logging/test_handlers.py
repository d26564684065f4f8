"""AsyncHandler and BufferedHandler, before any stdlib handler."""

from __future__ import annotations

import io
import logging
import logging.config
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.core.logging.targets import Collector, logger_with

from refunc.logging import AsyncHandler, BufferedHandler, ConsoleHandler, MLLogger, get_logger, setup_logging


def test_without_a_target_a_handler_takes_over_those_that_the_logger_has(capsys: pytest.CaptureFixture[str]) -> None:
    logger = MLLogger("high_performance")
    handler = AsyncHandler(buffer_size=1000, flush_interval=60.0)
    logger.add_handler(handler)
    buffered = BufferedHandler(buffer_size=100, auto_flush=True)
    logger.add_handler(buffered)

    logger.info("held back")
    assert "held back" not in capsys.readouterr().err
    logger.flush()

    assert capsys.readouterr().err.count("held back") == 1
    assert logger.handlers == [buffered]
    handler.close()


@pytest.mark.parametrize("again", [setup_logging, lambda: MLLogger("refunc")])
@pytest.mark.parametrize("wrappers", [[AsyncHandler], [BufferedHandler], [AsyncHandler, BufferedHandler]])
def test_a_console_behind_a_wrapper_is_replaced_there(
    again: Callable[[], MLLogger], wrappers: list[type[AsyncHandler]], capsys: pytest.CaptureFixture[str]
) -> None:
    added = [wrapper() for wrapper in wrappers]
    for handler in added:
        get_logger().add_handler(handler)

    logger = again()
    logger.info("shown once")
    logger.flush()

    assert capsys.readouterr().err.count("shown once") == 1
    assert logger.handlers == added[-1:]
    for handler in added:
        handler.close()


def test_a_users_own_console_handler_stays_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    stream, elsewhere, errors = io.StringIO(), io.StringIO(), ConsoleHandler("ERROR")
    buffered = BufferedHandler(target=ConsoleHandler(stream=stream))
    plain = ConsoleHandler(stream=elsewhere)
    MLLogger("own").add_handler(buffered)
    MLLogger("own").add_handler(plain)
    logging.getLogger("strict").addHandler(errors)

    logger = MLLogger("own")
    logger.info("everywhere")
    logger.flush()
    MLLogger("strict").info("not on the console")
    MLLogger("strict").error("once on the console")

    shown = capsys.readouterr().err
    assert [text.count("everywhere") for text in (stream.getvalue(), elsewhere.getvalue(), shown)] == [1, 1, 1]
    assert (shown.count("not on the console"), shown.count("once on the console")) == (0, 1)


def test_buffered_passes_on_when_full_at_an_error_and_at_close() -> None:
    target = Collector()
    handler = BufferedHandler(buffer_size=3, target=target)
    logger = logger_with(handler)

    logger.info("1")
    logger.info("2")
    assert target.messages == []
    logger.info("3")
    assert target.messages == ["1", "2", "3"]
    logger.info("4")
    logger.error("5")
    assert target.messages[3:] == ["4", "5"]
    logger.info("6")
    handler.close()
    assert target.messages[5:] == ["6"]


def test_buffered_without_auto_flush_keeps_the_newest_and_counts_the_rest() -> None:
    target = Collector()
    handler = BufferedHandler(buffer_size=3, auto_flush=False, target=target)
    logger = logger_with(handler)

    for number in range(10):
        logger.error("%d", number)
    assert target.messages == []
    handler.flush()

    assert target.messages == ["7", "8", "9"]
    assert handler.dropped == 7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AsyncHandler(buffer_size=0), "buffer_size: 0 is not allowed. Allowed: a whole number above 0."),
        (lambda: AsyncHandler(buffer_size=1.5), "buffer_size: 1.5"),
        (lambda: AsyncHandler(flush_interval=-1), "flush_interval: -1 is not allowed. Allowed: a number above 0."),
        (lambda: BufferedHandler(buffer_size="many"), "buffer_size: 'many'"),
        (lambda: BufferedHandler(level="LOUD"), "level: 'LOUD' is not a log level"),
    ],
)
def test_bad_options_are_said_at_construction(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("kind", [AsyncHandler, BufferedHandler])
def test_without_a_target_on_a_logger_of_the_stdlib_it_says_so(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    handler = kind()
    other = logging.getLogger("other")
    other.addHandler(handler)
    other.warning("first")
    other.warning("second")
    handler.flush()
    other.removeHandler(handler)
    handler.close()

    (line,) = [record.getMessage() for record in caplog.records if "no target" in record.getMessage()]
    assert "lines from other are not shown" in line
    assert handler.dropped == 2


def test_what_a_handler_says_where_no_other_is_comes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    last = Collector()
    last.setLevel(logging.WARNING)
    monkeypatch.setattr(logging, "lastResort", last)
    monkeypatch.setattr(logging.root, "handlers", [])
    handler = BufferedHandler()
    logging.getLogger("other").addHandler(handler)
    logging.getLogger("other").warning("a line")
    handler.flush()
    logging.getLogger("other").removeHandler(handler)

    assert sum("no target" in message for message in last.messages) == 1


def test_add_handler_takes_any_stdlib_handler_and_nothing_else() -> None:
    logger = MLLogger("any")
    target = Collector()

    logger.add_handler(target)
    logger.info("seen")
    logger.remove_handler(target)
    logger.info("unseen")

    assert target.messages == ["seen"]
    with pytest.raises(TypeError, match=r"'text' is not a logging\.Handler"):
        logger.add_handler("text")  # type: ignore[arg-type]


class _Target(logging.StreamHandler):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize("wrapper", [AsyncHandler, BufferedHandler])
@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("console", "'console'"),
        (b"a", "b'a'"),
        (["a"], "'a'"),
        ([None], "None"),
        (_Target, "_Target(...)"),
        ([_Target], "_Target(...)"),
        ({5}, "5"),
        ([logging.NullHandler(), 5], "5"),
        ({"class": "logging.StreamHandler"}, "sorts after"),
        (5, "5"),
        (print, "print"),
    ],
)
def test_a_target_that_is_not_a_handler_is_refused(wrapper: type[AsyncHandler], target: Any, named: str) -> None:
    before = [reference() for reference in logging._handlerList]  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"is not a logging\.Handler") as caught:
        wrapper(target=target)
    assert named in str(caught.value)
    assert wrapper.__name__ in str(caught.value)
    assert all(type(reference()) is not wrapper or reference() in before for reference in logging._handlerList)


@pytest.mark.parametrize("target", ["cfg://handlers.slow", ["cfg://handlers.slow"]])
@pytest.mark.parametrize("name", ["a", "z"])
def test_dict_config_gives_the_target_or_says_how(target: Any, name: str) -> None:
    wrapper = {"()": "refunc.logging.BufferedHandler", "target": target}
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"slow": {"()": Collector}, name: wrapper},
        "loggers": {"configured": {"handlers": [name], "level": "INFO", "propagate": False}},
    }
    if name < "slow":
        with pytest.raises(ValueError, match="Unable to configure handler 'a'") as caught:
            logging.config.dictConfig(config)
        assert "a name that sorts after its target's" in str(caught.value.__cause__)
        return
    logging.config.dictConfig(config)
    logger = logging.getLogger("configured")
    logger.error("seen")

    made = logger.handlers[0]
    assert isinstance(made, BufferedHandler)
    assert isinstance(made.targets[0], Collector)
    assert made.targets[0].messages == ["seen"]


@pytest.mark.parametrize("wrapper", [AsyncHandler, BufferedHandler])
def test_remove_handler_gives_back_what_it_took_over(wrapper: type[AsyncHandler]) -> None:
    logger, other = MLLogger("owner"), MLLogger("guest")
    for handler in logger.handlers:
        logger.remove_handler(handler)
    first, second, beside = Collector(), Collector(), Collector()
    logger.add_handler(first)
    logger.add_handler(second)
    removed = wrapper()

    for round_ in ("first", "second"):
        logger.add_handler(removed)
        other.add_handler(removed)
        logger.add_handler(beside)
        guests = other.handlers
        logger.info(f"{round_} behind it")
        other.remove_handler(removed)
        assert other.handlers == [handler for handler in guests if handler is not removed]
        logger.remove_handler(removed)
        logger.info(f"{round_} without it")

        assert logger.handlers == [first, second, beside]
        logger.remove_handler(beside)

    expected = ["first behind it", "first without it", "second behind it", "second without it"]
    assert first.messages == second.messages == beside.messages == expected
    assert removed.dropped == 0


def test_remove_handler_keeps_a_target_of_its_own() -> None:
    logger, target = MLLogger("given"), Collector()
    removed = BufferedHandler(target=target)
    before = logger.handlers

    logger.add_handler(removed)
    logger.info("held")
    logger.remove_handler(removed)

    assert logger.handlers == before
    assert target.messages == ["held"]
