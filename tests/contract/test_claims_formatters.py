"""The reference's claims about the three formatters: every option, on a handler that a user adds to a logger."""

from __future__ import annotations

import calendar
import json
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ColoredFormatter, JSONFormatter, LogLevel, MLFormatter, MLLogger

BLOCKS = Path(__file__).parent / "blocks"
SGR = re.compile(r"\x1b\[[0-9;]*m")
Show = Callable[..., str]


@pytest.fixture
def show(user: Any, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Log a line that has everything, and return the text that a handler with the formatter writes."""
    monkeypatch.setattr(time, "localtime", time.gmtime)
    logger = MLLogger("training", level="TRACE")
    logger.start_experiment("image_classification", "exp_001")

    def show(formatter: logging.Formatter, message: str = "Epoch completed", *, level: Any = "INFO", **own: Any) -> str:
        lines: list[str] = []
        handler = logging.Handler()
        handler.setFormatter(formatter)
        monkeypatch.setattr(handler, "emit", lambda record: lines.append(handler.format(record)))
        logger.add_handler(handler)
        everything: dict[str, Any] = {
            "step": 1000,
            "epoch": 5,
            "metrics": {"loss": 0.234, "accuracy": 0.92},
            "tags": {"model": "resnet50"},
            "extra": {"gpu_memory": "8.2GB"},
        }
        logger.log(level, message, **(own or everything))
        logger.remove_handler(handler)
        (line,) = lines
        return line

    return show


# -- ColoredFormatter

COLORED_PARTS: dict[str, str] = {
    "`show_time=True`": r"\d\d:\d\d:\d\d ",
    "`show_level=True`": "INFO +",
    "`show_logger=True`": "training +",
    "`show_metrics=True`": r"loss=0\.234 accuracy=0\.92 +",
}


@pytest.mark.parametrize("option", COLORED_PARTS)
def test_a_part_of_a_coloured_line_is_shown_or_not(option: str, show: Show) -> None:
    """`ColoredFormatter(`: each option is shown by default, and False leaves that part out, and no other."""
    name = option.strip("`").partition("=")[0]
    with_it = show(ColoredFormatter(colored=False))
    without = show(ColoredFormatter(**{name: False}, colored=False))

    clock = COLORED_PARTS["`show_time=True`"]
    left = re.sub(COLORED_PARTS[option], "", with_it, count=1)
    if name != "show_time":  # which may be another second's
        left, without = re.sub(clock, "", left), re.sub(clock, "", without)

    assert re.search(COLORED_PARTS[option], with_it)
    assert re.sub(clock, "", with_it) == re.sub(clock, "", show(ColoredFormatter(**{name: True}, colored=False)))
    assert without.split() == left.split()


@pytest.mark.parametrize("scheme", ["default", "dark", "light"])
def test_a_colour_scheme_colours_the_same_line(scheme: str, show: Show) -> None:
    """`color_scheme="default"  # "default", "dark", "light"`."""
    lines = {each: show(ColoredFormatter(color_scheme=each, colored=True)) for each in ("default", "dark", "light")}

    assert SGR.sub("", lines[scheme])[9:] == show(ColoredFormatter(colored=False))[9:]
    assert len({tuple(SGR.findall(line)) for line in lines.values()}) == 3
    assert tuple(SGR.findall(show(ColoredFormatter(colored=True)))) == tuple(SGR.findall(lines["default"]))


def test_a_scheme_that_is_none_is_told() -> None:
    """`color_scheme="default"`: three words are allowed, and a fourth is an error that names them."""
    with pytest.raises(ValueError, match=r"color_scheme.*default.*dark.*light"):
        ColoredFormatter(color_scheme="solarized")


LEVEL_COLORS: dict[LogLevel, tuple[str, ...]] = {
    LogLevel.ERROR: ("31",),
    LogLevel.WARNING: ("33",),
    LogLevel.INFO: ("34", "94"),  # of a terminal's two blues the bright one can be read on black
}


@pytest.mark.parametrize("level", LogLevel, ids=lambda level: level.name)
def test_a_level_has_its_colour(level: LogLevel, show: Show) -> None:
    """ "Color-coded log levels (ERROR=red, WARNING=yellow, INFO=blue, etc.)"."""
    codes = {each: re.findall(r"\x1b\[([0-9;]*)m" + each.name, _line_at(show, each)) for each in LogLevel}
    (code,) = codes[level]

    assert code in LEVEL_COLORS.get(level, (code,))
    alike = {LogLevel.TRACE, LogLevel.DEBUG}  # both quiet
    others = [each for each in LogLevel if each is not level and not {each, level} <= alike]
    assert all(codes[each] != [code] for each in others)


def _line_at(show: Show, level: LogLevel) -> str:
    return show(ColoredFormatter(colored=True), "here", level=level)


def test_metrics_and_key_value_pairs_stand_out(show: Show) -> None:
    """ "Highlighted metrics and key-value pairs"."""
    line = show(ColoredFormatter(colored=True))

    for name, value in (("loss", "0.234"), ("accuracy", "0.92"), ("model", "resnet50"), ("gpu_memory", "8.2GB")):
        assert re.search(rf"\x1b\[[0-9;]+m{name}=", line)
        if name in ("loss", "accuracy"):
            assert re.search(rf"{name}=(?:\x1b\[0m)?\x1b\[[0-9;]+m{re.escape(value)}\x1b\[0m", line)


def test_a_line_is_compact(show: Show) -> None:
    """ "Compact formatting for better readability": one line, with short numbers and a short time."""
    line = show(ColoredFormatter(colored=False), metrics={"loss": 0.23412345678}, step=1000)

    assert re.fullmatch(
        r"\d\d:\d\d:\d\d INFO +training  Epoch completed  loss=0\.2341  \[step 1000( epoch \d+)?\]", line
    )


def test_a_colour_scheme_can_be_made_of_ones_own(show: Show) -> None:
    """ "Customizable color schemes"."""
    line = show(ColoredFormatter(color_scheme={"base": "dark", "INFO": "bold green"}, colored=True))

    (code,) = re.findall(r"\x1b\[([0-9;]*)mINFO", line)
    assert sorted(code.split(";")) == ["1", "32"]


# -- JSONFormatter


def test_json_has_the_documented_output(show: Show) -> None:
    """ "Output Example": the same keys in the same order, with the values of the line."""
    documented = json.loads((BLOCKS / "11_json_output.json").read_text())
    written = json.loads(show(JSONFormatter(), tags={"model": "resnet50"}, **_place()))

    assert [key for key in written if key in documented] == list(documented)
    changed = {"timestamp": written["timestamp"], "experiment_id": "image_classification", "level": "INFO"}
    assert {key: written[key] for key in documented} == {**documented, **changed}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written["timestamp"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", documented["timestamp"])


def _place() -> dict[str, Any]:
    return {"step": 1000, "epoch": 5, "metrics": {"loss": 0.234, "accuracy": 0.92}}


@pytest.mark.parametrize("included", [True, False])
def test_extra_is_included_or_not(included: bool, show: Show) -> None:
    """`formatter = JSONFormatter(`, `include_extra=True`."""
    written = json.loads(show(JSONFormatter(include_extra=included)))

    assert written.get("extra") == ({"gpu_memory": "8.2GB"} if included else None)
    assert json.loads(show(JSONFormatter()))["extra"] == {"gpu_memory": "8.2GB"}


TIMESTAMPS: dict[str, Callable[[Any], bool]] = {
    "iso": lambda value: abs(calendar.timegm(time.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ")) - time.time()) < 60,
    "unix": lambda value: type(value) is float and abs(value - time.time()) < 60,
    "readable": lambda value: abs(time.mktime(time.strptime(value, "%Y-%m-%d %H:%M:%S")) - time.time()) < 86_400,
}


@pytest.mark.parametrize("name", TIMESTAMPS)
def test_a_timestamp_format_is_what_it_says(name: str, show: Show) -> None:
    """`timestamp_format="iso",  # "iso", "unix", "readable"`."""
    assert TIMESTAMPS[name](json.loads(show(JSONFormatter(timestamp_format=name)))["timestamp"])
    assert TIMESTAMPS["iso"](json.loads(show(JSONFormatter()))["timestamp"])


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_json_is_one_line_or_pretty(indent: int | None, show: Show) -> None:
    """`indent=None  # For pretty-printing, use 2 or 4`."""
    text = show(JSONFormatter(indent=indent))

    if indent is None:
        assert "\n" not in text
    else:
        assert text.splitlines()[1].startswith(" " * indent + '"')
        assert f'\n{" " * 2 * indent}"loss": 0.234' in text
    assert json.loads(text)["metrics"] == {"loss": 0.234, "accuracy": 0.92}


def test_json_is_for_analysis_and_storage(show: Show) -> None:
    """ "Structured JSON output": strict JSON whatever the values, so that any parser takes it."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    text = show(JSONFormatter(), "é \x1b[31m\n", metrics={"loss": float("nan")}, extra={"path": Path("a")})
    written = json.loads(text, parse_constant=refuse)
    assert written["message"] == "é \x1b[31m\n"
    assert written["extra"] == {"path": "a"}


# -- MLFormatter

ML_PARTS: dict[str, str] = {
    "`show_step=True`": "step 1000 · ",
    "`show_epoch=True`": "epoch 5 · ",
    "`show_metrics=True`": " · loss 0.2340 accuracy 0.9200",
}


@pytest.mark.parametrize("option", ML_PARTS)
def test_a_part_of_an_ml_line_is_shown_or_not(option: str, show: Show) -> None:
    """`MLFormatter(`: "Specialized formatter for ML workflows"; each part can be left out."""
    name = option.strip("`").partition("=")[0]
    whole = "epoch 5 · step 1000 · Epoch completed · loss 0.2340 accuracy 0.9200"

    assert show(MLFormatter()) == show(MLFormatter(**{name: True})) == whole
    assert show(MLFormatter(**{name: False})) == whole.replace(ML_PARTS[option], "")


@pytest.mark.parametrize(("precision", "shown"), [(4, "0.2340"), (2, "0.23"), (6, "0.234000")])
def test_metrics_have_so_many_digits(precision: int, shown: str, show: Show) -> None:
    """`metric_precision=4`."""
    line = show(MLFormatter(metric_precision=precision), metrics={"loss": 0.234})

    assert line.rpartition("loss ")[2] == shown
    assert show(MLFormatter(), metrics={"loss": 0.234}).endswith("loss 0.2340")


def test_compact_mode_says_the_same_in_less(show: Show) -> None:
    """`compact_mode=False`; True is the short form."""
    compact = show(MLFormatter(compact_mode=True))

    assert compact == "e5 s1000 Epoch completed loss=0.2340 accuracy=0.9200"
    assert show(MLFormatter(compact_mode=False)) == show(MLFormatter())
    assert len(compact) < len(show(MLFormatter()))
