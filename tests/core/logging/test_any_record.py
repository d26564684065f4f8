"""Whatever a record carries, the formatters neither raise nor let through text that breaks a parser or a terminal."""

from __future__ import annotations

import datetime
import json
import logging
import pathlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.logging.formatters import ColoredFormatter, JSONFormatter, MLFormatter
from refunc.logging.formatters.fields import Fields, carry


def record(*, fields: Any = None, **attributes: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "training", "levelno": logging.INFO, "msg": "message"})
    made.__dict__.update(attributes)
    if fields is not None:
        carry(made, fields)
    return made


def strict_json(text: str) -> Any:
    """Parse as the strictest reader does: ASCII, no NaN, no lone surrogate."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    assert text.isascii()
    data = json.loads(text, parse_constant=refuse)
    json.dumps(data, ensure_ascii=False).encode()
    return data


def test_numbers_that_json_does_not_know_are_strings() -> None:
    metrics = {"a": float("nan"), "b": float("inf"), "c": [float("-inf")]}

    data = strict_json(JSONFormatter().format(record(fields=Fields(metrics=metrics))))

    assert data["metrics"] == {"a": "NaN", "b": "Infinity", "c": ["-Infinity"]}


def test_lone_surrogates_are_spelt_out_and_emoji_kept() -> None:
    text = JSONFormatter().format(record(msg="\ud800 😀 \udc80"))

    assert strict_json(text)["message"] == "\\ud800 😀 \\udc80"


@pytest.mark.extras
def test_numpy_values_are_json() -> None:
    np = pytest.importorskip("numpy")
    metrics = {"f": np.float32(0.5), "i": np.int64(3), "b": np.bool_(True), "a": np.arange(3), "n": np.float16("nan")}

    data = strict_json(JSONFormatter().format(record(fields=Fields(metrics=metrics))))

    assert data["metrics"] == {"f": 0.5, "i": 3, "b": True, "a": [0, 1, 2], "n": "NaN"}


def test_values_of_every_day_are_json() -> None:
    when = datetime.datetime(2024, 1, 15, tzinfo=datetime.timezone.utc)
    extra = {"path": pathlib.PurePosixPath("a/b"), "when": when, "set": {1}}

    data = strict_json(JSONFormatter().format(record(fields=Fields(extra=extra))))

    assert data["extra"] == {"path": "a/b", "when": "2024-01-15T00:00:00+00:00", "set": [1]}


class Hostile:
    """Raises from wherever it is asked for its text."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __format__ = __float__ = __index__ = __len__ = __eq__ = __str__  # type: ignore[assignment]
    __hash__ = object.__hash__


def _circular() -> list[object]:
    values: list[object] = [1]
    values.append(values)
    return values


RAW_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

texts = st.text(st.characters()) | st.sampled_from(["\x1b]0;x\x07", "a\r\nb", "\ud800", "\u202e", "%s %d", "\x9b2J"])
leaves = (
    texts
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=20)
    | st.datetimes()
    | st.builds(lambda: 10**5000)  # not `just`: hypothesis itself fails on its repr
    | st.builds(Hostile)
    | st.builds(_circular)
    | st.just(pathlib.Path("x"))
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.integers(), inner, max_size=3)
)
fields = st.builds(
    Fields,
    step=values,
    epoch=values,
    metrics=st.dictionaries(texts, values, max_size=4) | values,
    tags=st.dictionaries(texts, values, max_size=4) | values,
    artifacts=st.lists(texts, max_size=3).map(tuple) | values,
    extra=st.dictionaries(texts, values, max_size=4) | values,
    experiment_id=values,
    run_id=values,
    members=st.dictionaries(texts, values, max_size=4) | values,
)
records = st.builds(
    lambda level, name, msg, args, created, fields, extra, exc_info, exc_text, stack: record(
        **{**extra, "levelno": level, "name": name, "msg": msg, "args": args, "created": created},
        **({"fields": fields} if fields is not None else {}),
        exc_info=exc_info,
        exc_text=exc_text,
        stack_info=stack,
    ),
    st.integers(0, 60) | values,
    texts | values,
    values,
    st.tuples(values) | st.dictionaries(texts, values, max_size=2) | values,
    st.floats() | st.floats(0, 2e9) | values,
    st.none() | fields,
    st.dictionaries(
        texts.filter(lambda key: key not in ("level", "fields", "exc_info", "exc_text", "stack_info")),
        values,
        max_size=3,
    ),
    st.none() | st.just((ValueError, ValueError("\x1b[31m"), None)) | st.just((None, None, None)) | values,
    st.none() | texts | values,
    st.none() | texts | values,
)


@given(records)
def test_json_always_parses(one: logging.LogRecord) -> None:
    for formatter in (JSONFormatter(), JSONFormatter(timestamp_format="unix"), JSONFormatter(indent=2)):
        data = strict_json(formatter.format(one))

        assert list(data)[:4] == ["timestamp", "level", "logger", "message"]


@given(records)
def test_no_record_makes_a_line_raise_or_smuggles_a_control_character(one: logging.LogRecord) -> None:
    formatters = (ColoredFormatter(colored=False), MLFormatter(), MLFormatter(compact_mode=True))
    for formatter in formatters:
        assert not RAW_CONTROL.search(formatter.format(one))

    bright = ColoredFormatter(colored=True).format(one)
    assert not RAW_CONTROL.search(re.sub(r"\x1b\[[0-9;]*m", "", bright))


@given(records)
def test_only_the_first_line_of_a_record_begins_at_the_margin(one: logging.LogRecord) -> None:
    for line in ColoredFormatter(colored=False).format(one).split("\n")[1:]:
        assert line.startswith("    ")
