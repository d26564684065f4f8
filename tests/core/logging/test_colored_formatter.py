"""ColoredFormatter: columns, colours and bounds of a line on the console."""

from __future__ import annotations

import logging
import re
import sys
import time

import pytest
from tests.core.logging.log_records import log_lines, record

from refunc.logging.formatters import ColoredFormatter, MLFormatter
from refunc.logging.formatters.fields import Fields
from refunc.logging.levels import LogLevel


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", time.gmtime)


def test_layout_is_the_same_with_and_without_color() -> None:
    plain, bright = ColoredFormatter(colored=False), ColoredFormatter(colored=True)

    for one in log_lines():
        assert re.sub(r"\x1b\[[0-9;]*m", "", bright.format(one)) == plain.format(one)


def test_a_level_name_in_the_message_is_not_colored() -> None:
    line = ColoredFormatter(colored=True).format(record(logging.INFO, "INFO and ERROR"))

    assert line.endswith("  INFO and ERROR")


def test_every_color_is_reset() -> None:
    for one in log_lines():
        line = ColoredFormatter(colored=True).format(one)
        sequences = re.findall(r"\x1b\[([0-9;]*)m", line)

        assert sequences.count("0") == len([code for code in sequences if code != "0"])
        assert sequences[-1] == "0"


def test_messages_stand_in_one_column_whatever_the_level() -> None:
    formatter = ColoredFormatter(colored=False)

    assert len({formatter.format(record(level, "here")).index("here") for level in LogLevel}) == 1


def test_metrics_of_short_messages_stand_in_one_column() -> None:
    formatter = ColoredFormatter(colored=False)
    texts = ["loaded the images", "done", "x" * 41, "done"]
    lines = [formatter.format(record(logging.INFO, text, fields=Fields(metrics={"loss": 0.5}))) for text in texts]

    first, second, long, last = (line.index("loss=") for line in lines)
    assert first == second == last < long


def test_messages_of_several_loggers_stand_in_one_column() -> None:
    formatter = ColoredFormatter(colored=False)
    formatter.format(record(name="data.loader"))

    columns = {formatter.format(record(name=name, msg="here")).index("here") for name in ("a", "data.loader", "train")}

    assert len(columns) == 1


@pytest.mark.parametrize(
    ("option", "missing"),
    [("show_time", "10:30:45"), ("show_level", "INFO"), ("show_logger", "training"), ("show_metrics", "loss")],
)
def test_each_part_can_be_left_out(option: str, missing: str) -> None:
    one = record(fields=Fields(metrics={"loss": 1.0}))

    assert missing in ColoredFormatter(colored=False).format(one)
    assert missing not in ColoredFormatter(colored=False, **{option: False}).format(one)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0012, "0.0012"),
        (1.2e-05, "1.2e-05"),
        (12345, "12,345"),
        (12345.678, "12,345.7"),
        (2000.0, "2,000"),
        (0.123456, "0.1235"),
        (float("nan"), "nan"),
        (1e300, "1e+300"),
        (10**5000, "<int of 16610 bits>"),
        (True, "True"),
        ("n/a", "n/a"),
        (None, "None"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_metrics_are_written_for_reading(value: object, text: str) -> None:
    line = ColoredFormatter(colored=False).format(record(fields=Fields(metrics={"m": value})))

    assert line.endswith(f"  m={text}")


def test_a_line_shows_a_bounded_number_of_fields_of_bounded_length() -> None:
    extra = {f"key{i}": "x" * 10_000 for i in range(1000)}

    line = ColoredFormatter(colored=False).format(record(fields=Fields(extra=extra)))

    assert len(line) < 6000
    assert line.endswith("more=968")


def test_colors_follow_the_environment_when_nobody_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert "\x1b[" in ColoredFormatter().format(record())


def test_the_traceback_is_whole() -> None:
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second\nwith two lines") from error
    except ValueError:
        one = record(logging.ERROR, exc_info=sys.exc_info())

    for formatter in (ColoredFormatter(colored=True), MLFormatter()):
        text = formatter.format(one)

        assert "KeyError: 'first'" in text
        assert "The above exception was the direct cause" in text
        assert text.rstrip().endswith("with two lines")
        assert all(line.startswith("    ") for line in text.splitlines()[1:])


def test_arguments_that_do_not_fit_are_shown_beside_the_message() -> None:
    line = ColoredFormatter(colored=False).format(record(logging.INFO, "%d of %s", "x"))

    assert line.endswith("%d of %s  (arguments: ('x',))")
