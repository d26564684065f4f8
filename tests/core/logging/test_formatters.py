"""The three formatters: the lines they write (golden files) and the options they refuse."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import pathlib
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.core.logging.log_records import WHEN, log_lines, record

from refunc.logging import MLLogger
from refunc.logging.formatters import ColoredFormatter, JSONFormatter, MLFormatter
from refunc.logging.formatters.fields import Fields
from refunc.logging.levels import LogLevel

GOLDEN = pathlib.Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", time.gmtime)


#: Asked for here, because no test sees the shell's own variables.
UPDATE = bool(os.environ.get("REFUNC_UPDATE_GOLDEN"))

GOLDEN_FORMATTERS: dict[str, Callable[[], logging.Formatter]] = {
    "plain": lambda: ColoredFormatter(colored=False),
    "colored-default": lambda: ColoredFormatter(colored=True),
    "colored-dark": lambda: ColoredFormatter(color_scheme="dark", colored=True),
    "colored-light": lambda: ColoredFormatter(color_scheme="light", colored=True),
    "json": JSONFormatter,
    "json-readable-indented": lambda: JSONFormatter(False, "readable", 2),
    "ml": MLFormatter,
    "ml-compact": lambda: MLFormatter(compact_mode=True),
}


@pytest.mark.parametrize("name", GOLDEN_FORMATTERS)
def test_lines_are_those_of_the_golden_file(name: str) -> None:
    """Made again by REFUNC_UPDATE_GOLDEN=1; look at the difference before committing it."""
    formatter = GOLDEN_FORMATTERS[name]()
    text = "".join(formatter.format(one) + "\n" for one in log_lines())

    path = GOLDEN / f"{name}.txt"
    if UPDATE:
        path.write_bytes(text.encode("utf-8"))

    assert text.encode("utf-8") == path.read_bytes()


# -- JSONFormatter


def test_json_has_the_keys_of_the_reference_in_order() -> None:
    fields = Fields(1000, 5, {"loss": 0.234}, {"model": "resnet50"}, ("a.png",), {"k": 1}, "exp_001", "run_001")
    one = record(msg="Epoch completed", fields=fields, exc_text="Traceback ...")

    assert list(json.loads(JSONFormatter().format(one)).items()) == [
        ("timestamp", "2024-01-15T10:30:45.123Z"),
        ("level", "INFO"),
        ("logger", "training"),
        ("message", "Epoch completed"),
        ("experiment_id", "exp_001"),
        ("run_id", "run_001"),
        ("step", 1000),
        ("epoch", 5),
        ("metrics", {"loss": 0.234}),
        ("tags", {"model": "resnet50"}),
        ("artifacts", ["a.png"]),
        ("extra", {"k": 1}),
        ("exception", "Traceback ..."),
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("iso", "2024-01-15T10:30:45.123Z"), ("unix", WHEN), ("readable", "2024-01-15 10:30:45")],
)
def test_timestamp_formats(name: str, expected: object) -> None:
    assert json.loads(JSONFormatter(timestamp_format=name).format(record()))["timestamp"] == expected


def test_milliseconds_are_not_lost_to_rounding() -> None:
    formatter = JSONFormatter()

    for millisecond in range(1000):
        text = formatter.format(record(created=1_705_314_645 + millisecond / 1000))
        assert f".{millisecond:03d}Z" in text


def test_extra_can_be_left_out() -> None:
    one = record(fields=Fields(extra={"k": 1}, metrics={"loss": 1.0}))

    assert "extra" not in json.loads(JSONFormatter(include_extra=False).format(one))


def test_indent_spreads_the_object_over_lines() -> None:
    assert JSONFormatter(indent=4).format(record()).splitlines()[1].startswith('    "timestamp": ')


@pytest.mark.extras
def test_numpy_metrics_are_numbers_on_the_console() -> None:
    np = pytest.importorskip("numpy")
    fields = Fields(metrics={"f": np.float32(0.1), "i": np.int64(12345)})

    assert ColoredFormatter(colored=False).format(record(fields=fields)).endswith("f=0.1 i=12,345")
    assert MLFormatter().format(record(fields=fields)).endswith("f 0.1000 i 12345")


# -- MLFormatter


def test_ml_line() -> None:
    one = record(msg="validation", fields=Fields(1200, 3, {"loss": 0.1234, "acc": 0.92}))

    assert MLFormatter().format(one) == "epoch 3 · step 1200 · validation · loss 0.1234 acc 0.9200"


def test_ml_line_compact() -> None:
    one = record(msg="", fields=Fields(1200, 3, {"loss": 0.1234}))

    assert MLFormatter(compact_mode=True).format(one) == "e3 s1200 loss=0.1234"


def test_ml_arrows_say_which_way_a_metric_went() -> None:
    formatter, compact = MLFormatter(), MLFormatter(compact_mode=True)
    records = [
        record(LogLevel.METRIC, "", fields=Fields(metrics={"loss": loss, "acc": acc, "lr": 0.1, "note": "x"}))
        for loss, acc in ((0.5, 0.8), (0.25, 0.9), (0.25, float("nan")))
    ]

    assert [formatter.format(one) for one in records] == [
        "loss 0.5000 acc 0.8000 lr 0.1000 note x",
        "loss 0.2500 ▼ acc 0.9000 ▲ lr 0.1000 note x",
        "loss 0.2500 acc NaN lr 0.1000 note x".replace("NaN", format(float("nan"), ".4f")),
    ]
    assert [compact.format(one) for one in records[:2]][1] == "loss=0.2500▼ acc=0.9000▲ lr=0.1000 note=x"


def test_ml_arrows_of_two_loggers_have_nothing_to_do_with_each_other() -> None:
    formatter = MLFormatter()
    formatter.format(record(LogLevel.METRIC, "", fields=Fields(metrics={"loss": 0.5})))

    other = record(LogLevel.METRIC, "", fields=Fields(metrics={"loss": 0.25}), name="validation")
    assert formatter.format(other) == "loss 0.2500"


def test_ml_parts_can_be_left_out() -> None:
    one = record(msg="m", fields=Fields(1200, 3, {"loss": 0.1234}))

    assert MLFormatter(show_step=False, show_epoch=False, show_metrics=False).format(one) == "m"


def test_a_metric_too_small_for_the_precision_is_not_shown_as_zero() -> None:
    one = record(msg="", fields=Fields(metrics={"lr": 1.2e-05, "zero": 0.0}))

    assert MLFormatter(metric_precision=2).format(one) == "lr 1.20e-05 zero 0.00"


# -- options


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: ColoredFormatter(color_scheme="blue"),
            "color_scheme: 'blue' is not a colour scheme. Allowed: default, dark, light.",
        ),
        (
            lambda: JSONFormatter(timestamp_format="rfc"),
            "timestamp_format: 'rfc' is not a timestamp format. Allowed: iso, unix, readable.",
        ),
        (lambda: JSONFormatter(indent=-1), "indent: -1 is not an indent"),
        (lambda: JSONFormatter(indent="2"), "indent: '2' is not an indent"),  # type: ignore[arg-type]
        (lambda: JSONFormatter(indent=True), "indent: True is not an indent"),
        (lambda: MLFormatter(metric_precision=-1), "metric_precision: -1 is not a number of digits. Allowed: 0 to 17."),
        (lambda: MLFormatter(metric_precision=1000), "metric_precision: 1000 is not"),
        (lambda: MLFormatter(metric_precision=2.0), "metric_precision: 2.0 is not"),  # type: ignore[arg-type]
        (lambda: ColoredFormatter(color_scheme=[]), "color_scheme: [] is not"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_option_is_refused_by_name(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def test_formatters_are_configurable_by_dict_config() -> None:
    """As users of the standard library's configuration name them: with `()` and the options beside it."""
    factory = {"()": "refunc.logging.formatters.MLFormatter", "metric_precision": 2}

    formatter = logging.config.DictConfigurator({"version": 1}).configure_formatter(factory)  # type: ignore[attr-defined]

    assert formatter.format(record(msg="", fields=Fields(metrics={"a": 1.0}))) == "a 1.00"


@pytest.mark.parametrize("first", ["short", "a" * 24])
@pytest.mark.parametrize("length", [23, 24, 25, 26, 27, 60])
def test_a_long_logger_name_stands_apart_from_its_message(first: str, length: int) -> None:
    formatter = ColoredFormatter(colored=False)
    formatter.format(record(name=first))

    assert re.search(f" n{{{length}}} {{2,}}message$", formatter.format(record(name="n" * length)))


def test_a_long_level_name_stands_apart_from_the_logger() -> None:
    logging.addLevelName(41, "WORSE_THAN_ANY_ERROR")
    assert "WORSE_THAN_ANY_ERROR training" in ColoredFormatter(colored=False).format(record(41))


@pytest.mark.parametrize("base", [logging.Formatter, ColoredFormatter, JSONFormatter, MLFormatter])
def test_a_formatters_own_way_with_exceptions_and_stacks_is_asked(base: Any, own_folder: pathlib.Path) -> None:
    class OnOneLine(base):  # type: ignore[misc]  # each of the formatters
        def formatException(self, ei: Any) -> str:  # noqa: N802  # stdlib's name
            return f"exception={ei[1]!r}"

        def formatStack(self, stack_info: str) -> str:  # noqa: N802  # stdlib's name
            return f"stack={len(stack_info.splitlines()) > 1}"

    logger = MLLogger("own")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OnOneLine())
    logging.getLogger("own").handlers[:] = [handler]
    try:
        raise ValueError("it broke")
    except ValueError:
        logger.exception("failed", stack_info=True)
    logger.flush()

    assert "exception=ValueError('it broke')" in stream.getvalue()
    assert "stack=True" in stream.getvalue()
    assert "Traceback" not in stream.getvalue()
    assert "Traceback (most recent call last)" in (own_folder / "logs/own.log").read_text()


def test_the_traceback_of_an_exception_that_raises_is_said_and_bounded() -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    for error in (Hostile(), ValueError("x" * 1_000_000)):
        text = ColoredFormatter(colored=False).format(record(exc_info=(type(error), error, None)))
        assert type(error).__name__ in text
        assert len(text) < 100_000
