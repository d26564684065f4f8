"""
Shell patterns that are matched all at once, in time that is linear in the length of a name.

A pattern may come from another user. Tried one after the other, the cost of a name would grow with the number of
patterns, and for one such as `*a*a*a*b` with a power of the name's length. Here all patterns are one automaton, whose
states are the bits of one number: a character of a name takes three operations on it, for any patterns.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final

_BEHIND_ALL: Final = sys.maxunicode + 1
#: The characters that may come at one place of a name: ranges of code points, each its first and the one after its
#: last.
Ranges = list[tuple[int, int]]


def is_pattern(name: str) -> bool:
    """Whether *name* is a pattern."""
    return any(mark in name for mark in "*?[")


class Patterns:
    """Several shell patterns, as those of `fnmatch.fnmatchcase`; `last_match` says which of them a name matches."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """
        Args:
            patterns: If several match a name, the last one counts.
        """
        self._ends: dict[int, int] = {}  # a pattern's number, by the bit that is set after its last token
        self._begin = self._end = self._stay = 0
        toggles: dict[int, int] = {0: 0}
        bit = 0
        for number, pattern in enumerate(patterns):
            self._begin |= 1 << bit
            for token in _tokens(pattern):
                if token is None:
                    self._stay |= 1 << bit
                    continue
                bit += 1
                for low, high in token:
                    toggles[low] = toggles.get(low, 0) ^ 1 << bit
                    toggles[high] = toggles.get(high, 0) ^ 1 << bit
            self._end |= 1 << bit
            self._ends[bit] = number
            bit += 1
        self._cuts = sorted(toggles)
        # The bits that may be set after a character, for each range of characters that all patterns treat alike.
        self._moves: list[int] = []
        mask = 0
        for cut in self._cuts:
            mask ^= toggles[cut]
            self._moves.append(mask)

    def last_match(self, name: str) -> int | None:
        """Return the number of the last pattern that matches *name*; None if no pattern does."""
        states, stay, cuts, moves = self._begin, self._stay, self._cuts, self._moves
        for character in name:
            states = states << 1 & moves[bisect_right(cuts, ord(character)) - 1] | states & stay
            if not states:
                return None
        return self._ends.get((states & self._end).bit_length() - 1)


def _tokens(pattern: str) -> Iterator[Ranges | None]:
    """Yield the allowed characters for each place of a name; None for `*`."""
    at = 0
    while at < len(pattern):
        character, at = pattern[at], at + 1
        if character == "*":
            yield None
        elif character == "?":
            yield [(0, _BEHIND_ALL)]
        elif character == "[" and (end := _end_of_set(pattern, at)) >= 0:
            yield _set(pattern[at:end])
            at = end + 1
        else:
            yield [(ord(character), ord(character) + 1)]


def _end_of_set(pattern: str, at: int) -> int:
    """Return the position of the `]` that closes the set at *at*; -1 if there is none."""
    begin = at + pattern.startswith("!", at)
    return pattern.find("]", begin + 1)  # a `]` at the start is a member


def _set(text: str) -> Ranges:
    """Return the characters of the set with *text* between its brackets."""
    is_negated = text.startswith("!")
    members: Ranges = []
    at = int(is_negated)
    while at < len(text):
        low = high = ord(text[at])
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            high = ord(text[at + 2])
            at += 2
        at += 1
        if low <= high:  # otherwise the range is empty
            members.append((low, high + 1))
    merged: Ranges = []
    for low, high in sorted(members):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    if not is_negated:
        return merged
    edges = [0, *(edge for one in merged for edge in one), _BEHIND_ALL]
    return [(low, high) for low, high in list(pairwise(edges))[::2] if low < high]
