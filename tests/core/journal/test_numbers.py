"""The numbers met of a writer: each once, and an exact count of those that are not there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refunc.journal.numbers import MAX_RANGES, Numbers

numbers = st.one_of(st.integers(0, 40), st.integers(0, 2**63 - 1))


@given(st.lists(numbers), st.integers(0, 50))
def test_each_number_is_taken_once_and_the_others_are_missing(given_numbers: list[int], pause: int) -> None:
    met: set[int] = set()
    kept = Numbers()
    for index, number in enumerate(given_numbers):
        if index == pause:  # a reader that stopped, and another that goes on
            kept = Numbers(kept.ranges)
        assert kept.take(number) is (number not in met)
        met.add(number)
        assert kept.missing == max(met) + 1 - len(met)
    assert {number for begin, end in kept.ranges for number in range(begin, end)} == met


@given(st.lists(numbers))
def test_backwards_numbers_are_negated(given_numbers: list[int]) -> None:
    met: set[int] = set()
    kept = Numbers()
    for number in given_numbers:
        assert kept.take(-number) is (number not in met)
        met.add(number)


def test_of_too_many_ranges_the_long_ones_are_kept_and_the_count_stays_right() -> None:
    kept = Numbers()
    assert all(kept.take(number) for number in range(10))
    assert all(kept.take(number) for number in range(1_000_000, 1_000_000 + 20 * MAX_RANGES, 2))

    assert len(kept.ranges) <= MAX_RANGES
    assert not kept.take(5)
    assert kept.take(10)
    assert kept.missing == 1_000_000 + 20 * MAX_RANGES - 1 - 11 - 10 * MAX_RANGES
