"""Objects that stand for one value: numbers, dates, enums, and objects that are called by their names."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import json
import math
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from refunc.values.jsonable import jsonable, number
from refunc.values.texts import short_repr


def relu(x: float, *, inplace: bool = False) -> float:
    return max(x, 0.0)


class Plain:
    def __init__(self) -> None:
        self.lr = 0.1
        self._cache = object()


class Live(Plain):
    """A model: it holds settings, and is more than these."""

    def __call__(self) -> None: ...


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (decimal.Decimal("0.001"), 0.001),
        (decimal.Decimal(3), 3),
        (decimal.Decimal("0.1234567890123456789"), "0.1234567890123456789"),
        (decimal.Decimal("Infinity"), math.inf),
        (fractions.Fraction(1, 4), 0.25),
        (datetime.timedelta(days=1), 86400.0),
        (datetime.datetime(2026, 1, 2, 3), "2026-01-02T03:00:00"),  # noqa: DTZ001  # as users have them
        (Colour.RED, "red"),
        (Colour.PAIR, [1, 2]),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (range(10**9), "range(0, 1000000000)"),
        ({Colour.RED: 1, 2: 3, (1, 2): 4}, {"red": 1, "2": 3, "(1, 2)": 4}),
    ],
)
def test_a_value_is_what_it_stands_for(value: Any, plain: Any) -> None:
    assert jsonable(value) == plain
    assert type(jsonable(value)) is type(plain)


@pytest.mark.parametrize(
    "value", [decimal.Decimal("0.3"), fractions.Fraction(1, 3), datetime.timedelta(seconds=2), True]
)
def test_what_is_a_number_as_a_metric_is_the_same_as_a_param(value: Any) -> None:
    assert jsonable(value) == number(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (relu, "relu"),
        (len, "len"),
        (lambda x: x, "<lambda>"),
        (Live, "Live"),
        (math, "math"),
        (functools.partial(relu, 2.0, inplace=True), "partial(relu, 2.0, inplace=True)"),
        (functools.partial(Live), "partial(Live)"),
        (Plain().__init__, "Plain.__init__"),  # type: ignore[misc]
        (object(), "<object object>"),
        ([relu, {"activation": relu}], ["relu", {"activation": "relu"}]),
    ],
)
def test_what_is_no_data_is_called_by_its_name(value: Any, said: Any) -> None:
    assert jsonable(value) == said


@pytest.mark.parametrize("make", [object, threading.Lock, lambda: iter([1]), lambda: relu, Live, lambda: {relu: 1}])
def test_two_processes_say_the_same_of_an_object(make: Callable[[], Any]) -> None:
    one, other = make(), make()  # at different addresses

    assert json.dumps(jsonable({"a": one})) == json.dumps(jsonable({"a": other}))
    assert "0x" not in json.dumps(jsonable({"a": one})) + short_repr([one])
