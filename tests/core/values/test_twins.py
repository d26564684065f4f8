"""Names that come to one: each value has its own, in time and length that grow with their number only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from refunc.logging.metrics import split_metrics
from refunc.values.jsonable import jsonable
from refunc.values.twins import OwnedNames, Twins


def objects(count: int) -> dict[Any, float]:
    """Return values by objects that have one text."""

    class Layer:
        pass

    return {Layer(): float(number) for number in range(count)}


def functions(count: int) -> dict[Any, float]:
    def layer() -> Callable[[], None]:
        return lambda: None

    return {layer(): float(number) for number in range(count)}


def numbers_and_texts(count: int) -> dict[Any, float]:
    """Return names, some of which are the names that others would get."""
    return {key: 1.0 for number in range(count // 3 + 1) for key in (number, str(number), f"{number}_2")}


READINGS: dict[str, Callable[[Any], Mapping[str, Any]]] = {
    "params": jsonable,
    "metrics": lambda given: split_metrics(given, warn=False)[0],
    "nested metrics": lambda given: split_metrics({"a": given, "a/x": 1.0}, warn=False)[0],
}


@pytest.mark.parametrize("make", [objects, functions, numbers_and_texts])
@pytest.mark.parametrize("reading", READINGS)
def test_of_many_names_that_come_to_one_none_is_lost_and_none_is_long(
    reading: str, make: Callable[[int], dict[Any, float]]
) -> None:
    given = make(300)

    found = READINGS[reading](given)

    assert len(found) == len(given) + (reading == "nested metrics")
    assert set(given.values()) <= set(found.values())
    assert max(map(len, found)) < 100


@pytest.mark.once
@pytest.mark.parametrize("make", [objects, functions])
@pytest.mark.parametrize("reading", READINGS)
def test_four_times_as_many_names_that_come_to_one_take_four_times_as_long(
    reading: str, make: Callable[[int], dict[Any, float]]
) -> None:
    def seconds(count: int) -> float:
        given = make(count)
        started = time.thread_time()
        READINGS[reading](given)
        return time.thread_time() - started

    few, many = (min(seconds(count) for _ in range(3)) for count in (1_000, 4_000))
    assert many < 8 * few


def test_a_name_that_is_taken_often_is_asked_for_once_more_each_time() -> None:
    taken = {"a", "a_2", "a_7"}
    asked = 0

    def is_taken(name: str) -> bool:
        nonlocal asked
        asked += 1
        return name in taken

    twins = Twins()
    for _ in range(1_000):
        taken.add(twins.apart("a", is_taken))

    assert taken == {"a", *(f"a_{number}" for number in range(2, 1_004))}
    assert asked <= 2_010


def test_an_owner_has_the_same_name_each_time() -> None:
    names = OwnedNames()
    logged = [("train", "f1"), ("x", "test/f1"), ("test", "f1"), ("test/f1", "x"), ("y", "test/f1_2")] * 2

    found = [names.of(owner, name) for owner, name in logged]

    assert found[:5] == found[5:] == ["f1", "test/f1", "test/f1_2", "x", "y/test/f1_2"]
