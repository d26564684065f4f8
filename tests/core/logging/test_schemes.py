"""The colour schemes: readable on their backgrounds, and levels that look different."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import pytest

from refunc.logging import ColoredFormatter, LogLevel
from refunc.logging.formatters.own_scheme import scheme_of
from refunc.logging.formatters.schemes import SCHEMES, level_color


def _rgb(code: int) -> tuple[int, int, int]:
    """A colour of the 256-colour palette beyond the sixteen that themes redefine."""
    assert code >= 16, "the first sixteen look different on every terminal"
    if code >= 232:
        return (8 + 10 * (code - 232),) * 3
    steps = (0, 95, 135, 175, 215, 255)
    return steps[(code - 16) // 36], steps[(code - 16) // 6 % 6], steps[(code - 16) % 6]


def _contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """WCAG 2: https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio"""

    def luminance(color: tuple[int, int, int]) -> float:
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert _contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert _contrast((118, 118, 118), (255, 255, 255)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize(
    ("scheme", "background"),
    [
        ("dark", (0, 0, 0)),
        ("dark", (0x1E, 0x1E, 0x1E)),  # VS Code
        ("dark", (0x28, 0x2C, 0x34)),  # One Dark
        ("light", (255, 255, 255)),
        ("light", (0xF5, 0xF5, 0xF5)),
        ("light", (0xFD, 0xF6, 0xE3)),  # Solarized
    ],
)
def test_every_color_of_a_scheme_can_be_read_on_its_background(scheme: str, background: tuple[int, int, int]) -> None:
    chosen = SCHEMES[scheme]
    colors = [*chosen.levels.values(), *(value for value in chosen if isinstance(value, str))]

    for color in colors:
        codes = dict(re.findall(r"(38|48);5;(\d+)", color))
        behind = _rgb(int(codes["48"])) if "48" in codes else background

        assert _contrast(_rgb(int(codes["38"])), behind) >= 4.5, color


@pytest.mark.parametrize("scheme", SCHEMES)
def test_levels_look_different(scheme: str) -> None:
    loud = {level: color for level, color in SCHEMES[scheme].levels.items() if level > logging.DEBUG}

    assert len(set(loud.values())) == len(loud)


def test_a_level_between_two_looks_like_the_lower() -> None:
    scheme = SCHEMES["dark"]

    assert level_color(scheme, 35) == scheme.levels[logging.WARNING]
    assert level_color(scheme, 99) == scheme.levels[logging.CRITICAL]
    assert level_color(scheme, 0) == scheme.levels[5]


@pytest.mark.parametrize(
    ("color", "parameters"),
    [
        ("red", "31"),
        ("Bold bright-red on_black", "1;91;40"),
        ("#FF8800", "38;2;255;136;0"),
        ("on_#000010 underline", "48;2;0;0;16;4"),
        (208, "38;5;208"),
        (0, "38;5;0"),
        ("1;38;5;208", "1;38;5;208"),
        ("31", "31"),
        ("plain", ""),
        ("", ""),
    ],
)
@pytest.mark.parametrize("key", ["error", "ERROR", 40, LogLevel.ERROR, "metric_value", "alarm", "secondary"])
def test_a_scheme_of_ones_own_says_what_differs_from_its_base(key: Any, color: str | int, parameters: str) -> None:
    scheme = scheme_of({"base": "light", key: color})

    if isinstance(key, int) or key.lower() == "error":
        assert scheme == SCHEMES["light"]._replace(levels={**SCHEMES["light"].levels, 40: parameters})
    else:
        assert scheme == SCHEMES["light"]._replace(**{key: parameters})
    assert scheme_of({key: color}).levels[10] == SCHEMES["default"].levels[10]


def test_a_scheme_of_ones_own_colours_lines() -> None:
    own = {"INFO": "bold magenta", "field_name": "blue", "field_value": "yellow", "metric_name": "plain", 35: 99}
    formatter = ColoredFormatter(show_time=False, show_logger=False, color_scheme=own, colored=True)
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "levelno": 20, "msg": "m"})

    assert formatter.format(record).startswith("\x1b[1;35mINFO\x1b[0m")
    assert level_color(scheme_of(own), 37) == "38;5;99"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"metric_nam": "red"}, "color_scheme: 'metric_nam' is not a level or a part of a line. Did you mean 'metric_"),
        ({"ERORR": "red"}, "'ERORR' is not a level or a part of a line. Did you mean 'ERROR'? Allowed: TRACE, DEBUG"),
        ({"levels": "red"}, "'levels' is not a level or a part"),
        ({None: "red"}, "None is not a level or a part"),
        ({True: "red"}, "True is not a level or a part"),
        ({"ERROR": "bold rde"}, "color_scheme['ERROR']: 'rde' is not a colour. Did you mean 'red'? Allowed: black,"),
        ({"ERROR": "#ff88"}, "'#ff88' is not a colour"),
        ({"ERROR": 256}, "256 is not a colour"),
        ({"ERROR": None}, "None is not a colour"),
        ({"alarm": "\x1b[31m"}, "is not a colour"),
        ({"alarm": "1;31m\x07"}, "is not a colour"),
        ({"base": "drak"}, "color_scheme['base']: 'drak' is not a colour scheme. Allowed: default, dark, light."),
    ],
)
def test_what_is_none_of_them_is_said_with_the_nearest(given: Mapping[Any, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        ColoredFormatter(color_scheme=given)
