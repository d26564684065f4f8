"""Definitions by pattern: the same answers as fnmatch gives, whatever many and odd patterns cost there."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.values import definitions
from refunc.values.definitions import MAX_PATTERNS, Definitions
from refunc.values.patterns import Patterns

pytestmark = pytest.mark.once

_patterns = st.lists(st.text("ab*?[]!-", max_size=7), max_size=8)
_names = st.text("abc[]-!", max_size=6)


def plain(pattern: str) -> bool:
    """Whether no range goes backwards, such as `[b-a]`: fnmatch takes the rest of those in odd ways."""
    return not any(low > high for low, high in re.findall(r"(?=(.)-(.))", pattern))


@given(_patterns, _names)
def test_the_last_pattern_that_fnmatch_finds_is_found(patterns: list[str], name: str) -> None:
    known = [pattern for pattern in patterns if plain(pattern)]

    found = Patterns(known).last_match(name)

    assert found == max((at for at, pattern in enumerate(known) if fnmatchcase(name, pattern)), default=None)


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("[b-a]", "", "ab-"),
        ("[!b-a]", "ab", ""),
        ("?", "a\n\U0010ffff", ""),
        ("[!a]", "b\0\U0010ffff", "a"),
        ("[]]", "]", "["),
        ("[", "[", "]"),
    ],
)
def test_odd_sets(pattern: str, matches: str, others: str) -> None:
    found = Patterns([pattern])

    assert [found.last_match(name) for name in matches] == [0] * len(matches)
    assert [found.last_match(name) for name in others] == [None] * len(others)


@given(st.lists(st.tuples(st.sampled_from(["*", "a*", "*b", "ab", "a?", "[a]b"]), st.integers(0, 3)), max_size=12))
def test_the_word_that_was_said_last_counts(said: list[tuple[str, int]]) -> None:
    defined: Definitions[int] = Definitions()
    for pattern, word in said:
        assert defined.add(pattern, word)
        defined.of("ab")  # the patterns compiled by now must not hide the next one

    for name in ("ab", "b", "a*"):
        expected = [word for pattern, word in said if pattern == name or fnmatchcase(name, pattern)]
        assert defined.of(name) == (expected[-1] if expected else None)


def test_further_patterns_are_left_out_and_names_are_not() -> None:
    defined: Definitions[int] = Definitions()

    used = [defined.add(f"*{number}", number) for number in range(MAX_PATTERNS + 5)]

    assert used == [True] * MAX_PATTERNS + [False] * 5
    assert defined.add("plain", -1)
    assert defined.add("*7", -2)  # known: it takes the place of the first one
    assert (defined.of("plain"), defined.of("x17"), defined.of("x1003")) == (-1, -2, 3)
    assert not Definitions[int]().add("*" * 10_001, 0)


def test_a_name_takes_as_many_steps_as_it_has_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    defined: Definitions[int] = Definitions()
    for number in range(MAX_PATTERNS):
        defined.add(f"*{number}*a*a*a*b", number)  # 1,000; each takes a regular expression the name's length cubed
    compiled: list[Any] = []
    steps = 0

    def counted(*arguments: Any) -> int:
        nonlocal steps
        steps += 1
        return bisect(*arguments)

    from refunc.values import patterns

    bisect = patterns.bisect_right
    monkeypatch.setattr(patterns, "bisect_right", counted)
    monkeypatch.setattr(definitions, "Patterns", lambda known: compiled.append(Patterns(known)) or compiled[-1])
    for _ in range(3):
        assert defined.of("7" + "a" * 999) is None

    assert len(compiled) == 1
    assert steps == 3_000
