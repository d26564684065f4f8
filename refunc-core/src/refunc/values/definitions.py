"""Definitions by name or by pattern, as `define_metric` makes them: the later definition counts."""

from __future__ import annotations

from itertools import count
from typing import Final, Generic, TypeVar

from refunc.values.patterns import Patterns, is_pattern

#: How many patterns are used, and their total length: the cost of a name grows with both.
MAX_PATTERNS: Final = 1_000
_MAX_CHARACTERS: Final = 10_000

_Word = TypeVar("_Word")


class Definitions(Generic[_Word]):
    """
    One word for each name or pattern, looked up by name.

    A name costs one look-up and one pass over its letters, however many definitions there are. May be called from any
    thread.
    """

    def __init__(self) -> None:
        # By name or pattern: when it was defined, and the word. Patterns are in the order of their last definition.
        self._exact: dict[str, tuple[int, _Word]] = {}
        self._patterns: dict[str, tuple[int, _Word]] = {}
        self._characters = 0
        self._order = count()
        self._changes = 0
        #: The number of changes at which it was made, the combined patterns, and the definition of each.
        self._compiled: tuple[int, Patterns, list[tuple[int, _Word]]] | None = None

    def add(self, name: str, word: _Word) -> bool:
        """
        Define *name*, which may be a pattern such as `val/*`; a pattern is also the name that it is spelled as.

        The same name again replaces its definition. False if there are 1,000 patterns, or 10,000 characters of them:
        then a further one is left out.
        """
        said = next(self._order), word
        if is_pattern(name):
            if self._patterns.pop(name, None) is None:
                if len(self._patterns) >= MAX_PATTERNS or self._characters + len(name) > _MAX_CHARACTERS:
                    return False
                self._characters += len(name)
            self._patterns[name] = said
            self._changes += 1
        self._exact[name] = said
        return True

    def of(self, name: str) -> _Word | None:
        """Return the last definition for *name*; None if there is none."""
        exact = self._exact.get(name)
        found = self._by_pattern(name) if self._patterns else None
        if exact is not None and (found is None or exact[0] > found[0]):
            found = exact
        return found[1] if found is not None else None

    def _by_pattern(self, name: str) -> tuple[int, _Word] | None:
        compiled = self._compiled
        if compiled is None or compiled[0] != self._changes:
            changes = self._changes  # read before the patterns, which another thread may change
            known = dict(self._patterns)
            compiled = self._compiled = changes, Patterns(known), list(known.values())
        _, patterns, said = compiled
        at = patterns.last_match(name)
        return said[at] if at is not None else None
