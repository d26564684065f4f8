"""The colour schemes: readable on their backgrounds, and levels that look different."""

from __future__ import annotations

import logging
import re

import pytest

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
