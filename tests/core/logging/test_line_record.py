"""refunc's lines in handlers of others: their values in the message, and no attribute of refunc's own."""

from __future__ import annotations

import copy
import io
import json
import logging
import logging.handlers
import pickle
import queue
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from refunc.logging import JSONFormatter, MLFormatter, MLLogger, experiment_context
from refunc.logging.formatters import ColoredFormatter
from refunc.logging.formatters.fields import Fields, fields_of

STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class Marked(logging.LogRecord):
    pass


class Slotted(logging.LogRecord):
    __slots__ = ("trace_id",)


class Timeless(logging.LogRecord):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        del self.relativeCreated


class Braces(logging.LogRecord):
    def getMessage(self) -> str:  # noqa: N802  # stdlib's name
        return "braces: " + str(self.msg)


Factory = Callable[..., logging.LogRecord]


def with_attribute(*args: Any, **options: Any) -> logging.LogRecord:
    record = logging.LogRecord(*args, **options)
    record.trace_id = "7"
    return record


@pytest.fixture(params=[logging.LogRecord, Marked, Slotted, Timeless, with_attribute])
def factory(request: pytest.FixtureRequest) -> Iterator[Factory]:
    original = logging.getLogRecordFactory()
    logging.setLogRecordFactory(request.param)
    yield request.param
    logging.setLogRecordFactory(original)


@pytest.fixture
def record(factory: Factory, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    MLLogger("lines").info("validated", metrics={"accuracy": 0.9}, step=3, tags={"split": "test"}, extra={"gpu": 0})
    return caplog.records[-1]


def test_no_attribute_is_there_but_those_of_stdlib_of_extra_and_of_the_factory(
    record: logging.LogRecord, factory: Factory
) -> None:
    unknown = {name: value for name, value in vars(record).items() if name not in STANDARD}

    assert unknown == {"gpu": 0, **({"trace_id": "7"} if factory is with_attribute else {})}
    assert type(json.loads(json.dumps(vars(record)))["relativeCreated"]) is float
    assert isinstance(record, factory if isinstance(factory, type) else logging.LogRecord)


COPIES: dict[str, Callable[[logging.LogRecord], logging.LogRecord]] = {
    "itself": lambda record: record,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda record: pickle.loads(pickle.dumps(record)),
    "pickle, protocol 2": lambda record: pickle.loads(pickle.dumps(record, 2)),
    "QueueHandler": lambda record: logging.handlers.QueueHandler(queue.Queue()).prepare(record),  # type: ignore[no-any-return]
    "its attributes": lambda record: logging.makeLogRecord(vars(record)),
    "twice through a QueueHandler": lambda record: COPIES["QueueHandler"](COPIES["QueueHandler"](record)),
}


@pytest.mark.parametrize("way", COPIES)
def test_wherever_a_record_went_its_values_are_shown_once(record: logging.LogRecord, way: str) -> None:
    sent = COPIES[way](record)

    shown = sent.getMessage()
    if way != "its attributes":  # the class is not among them
        assert shown == "validated accuracy=0.9 step=3"
    assert fields_of(sent) == Fields(3, None, {"accuracy": 0.9}, {"split": "test"}, (), {"gpu": 0})
    data = json.loads(JSONFormatter().format(sent))
    assert (data["message"], data["metrics"], data["extra"]) == ("validated", {"accuracy": 0.9}, {"gpu": 0})
    for formatter in (ColoredFormatter(colored=False), MLFormatter()):
        assert formatter.format(sent).count("validated") == 1
        assert formatter.format(sent).count("accuracy") == 1


def test_what_goes_through_a_socket_needs_no_refunc_to_be_read(record: logging.LogRecord) -> None:
    data = logging.handlers.SocketHandler("localhost", 0).makePickle(record)
    (length,) = struct.unpack(">L", data[:4])

    assert b"refunc." not in data.replace(b"refunc.py", b"")
    received = logging.makeLogRecord(pickle.loads(data[4:]))
    assert length == len(data) - 4
    assert received.getMessage() == "validated accuracy=0.9 step=3"
    assert vars(received)["gpu"] == 0


@pytest.mark.usefixtures("own_folder")
def test_every_call_with_values_shows_them_to_handlers_of_others(caplog: pytest.LogCaptureFixture) -> None:
    logger = MLLogger("lines")
    with experiment_context("e", "r"):
        logger.log_hyperparams({"lr": 0.1, "api_key": "sk-1234567890abcdef1234567890"})
        logger.log_metrics({"loss": 0.25, "top 5": 0.5}, step=0)
        logger.log_metrics({"accuracy": 0.5}, epoch=2)
        logger.log_result("accuracy", 0.98)
        logger.log_result("test", {"f1": 12345.678})
        logger.metric("loss is %s", "low", metrics={"loss": float("nan")})
        logger.metric("payload", {"loss": 0.5, "note": "x"})
        logger.info("a=1 is not b=2", metrics={"c": 3})
        logger.info("plain", step=7, extra={"a": 1})
    messages = [record.getMessage() for record in caplog.records if record.name == "lines"]

    assert messages[0].startswith("params lr=0.1 api_key=")
    assert "sk-1234567890" not in messages[0]
    assert messages[1:] == [
        "loss=0.25 top 5=0.5 step=0",
        "accuracy=0.5 epoch=2",
        "accuracy=0.98",
        "test f1=12,345.7",
        "loss is low loss=nan",
        "payload loss=0.5",
        "a=1 is not b=2 c=3",
        "plain",
    ]
    assert caplog.messages[1] != "loss"


def test_values_that_make_up_the_whole_message_stand_once_on_refuncs_lines(caplog: pytest.LogCaptureFixture) -> None:
    MLLogger("lines").metric("loss", metrics={"loss": 0.25}, step=1)
    sent = COPIES["QueueHandler"](caplog.records[-1])

    assert sent.getMessage() == "loss=0.25 step=1"
    assert ColoredFormatter(show_time=False, colored=False).format(sent).split() == [
        *("METRIC", "lines", "loss=0.25", "[step", "1]"),
    ]


def test_a_filter_that_rewrites_the_message_takes_no_values_along() -> None:
    class Redacting(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            record.msg, record.args = record.getMessage().replace("secret", "***"), ()
            return True

    stream = io.StringIO()
    theirs, ours = logging.StreamHandler(stream), logging.StreamHandler(stream)
    theirs.addFilter(Redacting())
    theirs.setFormatter(logging.Formatter("%(message)s"))
    ours.setFormatter(JSONFormatter())
    logger = MLLogger("rewritten", log_dir="unused")
    for handler in (theirs, ours):
        logger.add_handler(handler)
    try:
        logger.info("a secret", metrics={"loss": 0.5})
    finally:
        for handler in (theirs, ours):
            logger.remove_handler(handler)

    first, second = stream.getvalue().splitlines()
    assert first == "a *** loss=0.5"
    assert {"message": "a ***", "metrics": {"loss": 0.5}}.items() <= json.loads(second).items()


def test_a_class_of_records_with_a_message_of_its_own_is_asked() -> None:
    original = logging.getLogRecordFactory()
    logging.setLogRecordFactory(Braces)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger("braces").addHandler(handler)
    try:
        MLLogger("braces").info("{}", metrics={"loss": 0.5})
    finally:
        logging.setLogRecordFactory(original)
        logging.getLogger("braces").removeHandler(handler)

    assert stream.getvalue() == "braces: {} loss=0.5\n"
