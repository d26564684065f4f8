"""Numbers, durations and sizes as people read them."""

from __future__ import annotations

import math

import pytest

from refunc.values.quantities import amount, counted, duration, figure, narrow_duration


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.123456, "0.1235"),
        (1e-5, "1e-05"),
        (-999.96, "-1000"),
        (1234.56, "1234.6"),
        (12345.0, "12345"),
        (987_654_321.25, "987654321.2"),
        (1e9, "1e+09"),
        (10**18, "1000000000000000000"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_a_figure_has_the_digits_that_matter(number: float, text: str) -> None:
    assert figure(number) == text


def test_a_figure_with_more_digits_or_in_groups() -> None:
    assert figure(1234.5678, 6) == "1234.57"
    assert figure(0.123456789, 6) == "0.123457"
    assert figure(12345.678, grouped=True) == "12,345.7"
    assert figure(12345, grouped=True) == "12,345"


@pytest.mark.parametrize(
    ("seconds", "text", "narrow"),
    [
        (0.04, "0.0 s", "0.0s"),
        (0.8, "0.8 s", "0.8s"),
        (9.96, "10 s", "10s"),
        (59.4, "59 s", "59s"),
        (59.6, "1 min 00 s", "1m00s"),
        (125, "2 min 05 s", "2m05s"),
        (3_599.9, "1 h 00 min", "1h00m"),
        (12_000, "3 h 20 min", "3h20m"),
        (356_400, "4 d 03 h", "4d03h"),
        (math.nan, "?", "?"),
        (math.inf, "?", "?"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str, narrow: str) -> None:
    assert (duration(seconds), narrow_duration(seconds)) == (text, narrow)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (1_300_000, "1.2 MB"), (2**50, "1024.0 TB")]
)
def test_an_amount_has_the_largest_unit(size: float, text: str) -> None:
    assert amount(size) == text


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [
        (0, ("run",), "0 runs"),
        (1, ("run",), "1 run"),
        (2_000, ("run",), "2,000 runs"),
        (1, ("line is", "lines are"), "1 line is"),
        (3, ("line is", "lines are"), "3 lines are"),
    ],
)
def test_a_number_with_its_noun(number: int, nouns: tuple[str, ...], text: str) -> None:
    assert counted(number, *nouns) == text
