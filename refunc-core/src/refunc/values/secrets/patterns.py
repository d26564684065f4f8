"""
A regular expression that is compiled when it is first needed: importing refunc compiles none.

Its character classes are ASCII only: places in a text are found in bytes, where a word ends at any other letter. A
pattern that went on there would check the same letters again from each place.
"""

from __future__ import annotations

import re
from typing import Any

#: The start and end of something in a text.
Span = tuple[int, int]


class Pattern:
    """Stands for a compiled regular expression; its methods are looked up once."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __getattr__(self, name: str) -> Any:
        method = self.__dict__[name] = getattr(re.compile(self._pattern, re.ASCII), name)
        return method
