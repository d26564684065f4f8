"""Any value of a user as one that JSON can say: never an exception, bounded, taken at once."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.journal.codec import encode_line
from refunc.values.jsonable import MAX_DEPTH, MAX_ITEMS, jsonable, jsonable_mapping, number
from refunc.values.texts import MAX_TEXT, text, text_of


class Hostile:
    """Raises wherever it can be touched."""

    def _raise(self, *args: object) -> Any:
        raise RuntimeError("hostile")

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __float__ = __int__ = __index__ = _raise
    __getitem__ = __getattr__ = __fspath__ = _raise


class HostileText(str):
    def __len__(self) -> int:
        raise RuntimeError("hostile")

    def __str__(self) -> str:
        raise RuntimeError("hostile")


class HostileDict(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise RuntimeError("hostile")


class Endless:
    def __iter__(self) -> Iterator[int]:
        return iter(int, 1)

    def tolist(self) -> Endless:
        return self


class Infinite(list):  # type: ignore[type-arg]
    def __iter__(self) -> Iterator[int]:
        return iter(int, 1)


class LyingClass:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("hostile")


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append({"again": cycle})
    return cycle


def _deep(depth: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    return deep


HOSTILE = [
    Hostile(), HostileText("x"), HostileDict(a=1), Endless(), Infinite(), LyingClass(), _cycle(), _deep(100_000),
    10**10_000, -(10**400), 2**63, object(), Hostile, lambda: 1, iter([1]), range(3), 1j, b"\xff" * 5_000,
    {1: 2, "1": 3},
    {Hostile: 1}, {(1, 2): 3}, {frozenset({1}): 2}, {1, "a", None}, "\ud800", "\x00", "x" * 10**6, memoryview(b"abc"),
    [[1] * 200] * 200, decimal.Decimal("NaN"), fractions.Fraction(1, 3), ValueError("x"), type, NotImplemented, ...,
]  # fmt: skip

_TEXT = st.text(st.characters(exclude_categories=()))
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT | st.binary()
    | st.complex_numbers() | st.decimals() | st.fractions() | st.dates() | st.datetimes() | st.timedeltas() | st.uuids()
    | st.integers(0, 5).map(lambda index: HOSTILE[index]),  # hypothesis itself must not look at them
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner)
    | st.dictionaries(st.none() | st.integers() | _TEXT | st.binary(), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether *value* is made of the types of JSON, with integers of 64 bits, and nested at most `MAX_DEPTH` deep."""
    if isinstance(value, dict):
        return depth <= MAX_DEPTH and all(type(key) is str and is_plain(item, depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return depth <= MAX_DEPTH and all(is_plain(item, depth + 1) for item in value)
    if type(value) is int:
        return -(2**63) <= value < 2**63
    return value is None or type(value) in (str, float, bool)


@given(_ANYTHING)
def test_anything_becomes_plain_data_that_encodes(value: Any) -> None:
    plain = jsonable(value)

    assert is_plain(plain)
    encode_line({"value": plain})


@pytest.mark.parametrize("index", range(len(HOSTILE)))
def test_hostile_values_become_plain_data(index: int) -> None:
    value = HOSTILE[index]

    assert is_plain(jsonable(value))
    assert len(encode_line({"value": jsonable(value), **jsonable_mapping(value)})) < 2_000_000
    assert number(value) is None or isinstance(number(value), (int, float))


@given(_ANYTHING)
def test_number_gives_a_number_of_64_bits_or_none(value: Any) -> None:
    found = number(value)

    assert found is None or type(found) is float or (type(found) is int and -(2**63) <= found < 2**63)


def test_what_is_cut_says_so() -> None:
    assert jsonable("x" * (MAX_TEXT + 1)).endswith(f"… [cut: {MAX_TEXT + 1} characters]")
    assert jsonable(list(range(MAX_ITEMS + 5)))[-1] == "… [cut]"
    assert jsonable({str(n): n for n in range(MAX_ITEMS + 5)})["…"] == "[cut]"
    assert text("abcdef", 3) == "abc… [cut: 6 characters]"


def test_keys_that_become_the_same_text_are_both_kept() -> None:
    assert jsonable({1: "int", "1": "str"}) == {"1": "int", "1_2": "str"}


def test_a_value_that_changes_later_was_taken_at_the_call() -> None:
    inner = [1]
    plain = jsonable({"a": inner})
    inner.append(2)

    assert plain == {"a": [1]}


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Data:
    lr: float = 0.1


@attrs.define
class Attrs:
    lr: float = 0.1


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Data(), {"lr": 0.1}),
        (Attrs(), {"lr": 0.1}),
        (argparse.Namespace(lr=0.1), {"lr": 0.1}),
        (Colour.RED, "red"),
        (Number.ONE, 1),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        ((1, 2), [1, 2]),
        ({2, 1}, [1, 2]),
        (b"abc", "YWJj"),
        (2**63, str(2**63)),
    ],
)
def test_well_known_types_become_what_they_stand_for(value: Any, plain: Any) -> None:
    assert jsonable(value) == plain


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_stay_floats(value: float) -> None:
    assert repr(jsonable({"x": value})["x"]) == repr(value)


@pytest.mark.extras
def test_numpy_scalars_and_arrays() -> None:
    import numpy as np

    assert [number(kind(1)) for kind in (np.float16, np.float32, np.int8, np.uint64, np.bool_)] == [1.0, 1.0, 1, 1, 1]
    assert number(np.array([2.5])) == 2.5
    assert number(np.array([1, 2])) is None
    assert number(np.uint64(2**64 - 1)) == float(2**64 - 1)
    assert jsonable(np.arange(3)) == [0, 1, 2]
    assert "5000" in jsonable(np.zeros(5_000))
    assert is_plain(jsonable(np.array(["a", None, {}], dtype=object)))
    assert is_plain(jsonable(np.datetime64("2026-01-01")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("name", "name"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (None, "None"),
        (7, "7"),
        pytest.param(10**5_000, "… [cut: 16610 bits]", id="a large int"),
        ("x" * 20, "xxxxxxxxxx… [cut: 20 characters]"),
    ],
)
def test_text_of_anything_is_what_it_calls_itself_cut(value: object, expected: str) -> None:
    assert text_of(value, 10 if isinstance(value, str) else 1_000).endswith(expected)


@pytest.mark.parametrize("make", [Hostile, lambda: HostileText("name"), lambda: Hostile, lambda: [Hostile()], Endless])
def test_text_of_what_raises_is_text_all_the_same(make: Any) -> None:
    assert type(text_of(make())) is str
