"""
Names for a backend: respelling those that it would refuse, cut, or mix up.

    COLUMNS = Spelling("[^a-z.]", longest=64)

    COLUMNS("train.loss")    # "train.loss": an accepted name stays
    COLUMNS("train@loss")    # "train_loss--1a2b3c4d"
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

_MARKED: Final = re.compile(r"--[0-9a-f]{8}(?:\.[A-Za-z0-9]{1,12}){0,2}$")
_SUFFIXES: Final = re.compile(r"(?<=.)(?:\.[A-Za-z0-9]{1,12}){1,2}$")
_NO_TEXT: Final = re.compile("[\x00\ud800-\udfff]")


class Spelling:
    """
    Respells names of one kind: those of metrics, say, or of projects.

    A name that the backend accepts stays. In any other, each refused character becomes `_`; the name is cut if it is
    too long; and `--` with eight hex digits, a hash of the whole name, is appended. So a name is spelt the same in
    every run and process, and two names never become one. A name that ends like a respelt one gets a hash too.
    `originals` returns the original names to store as well, so that a reader can find them.

    Args:
        refused: A regular expression that finds each refused character, with lookarounds if necessary. NUL and lone
        surrogates are always refused.
        longest: The most characters of a name.
        lead: Put before a respelt name that must not begin with `_`.
        is_file: The name is a file name: its length counts in bytes of UTF-8, and its suffix stays at its end.
    """

    def __init__(self, refused: str, longest: int, *, lead: str = "x", is_file: bool = False) -> None:
        self._refused = re.compile(refused + "|[\x00\ud800-\udfff]")
        self._longest, self._lead, self._is_file = longest, lead, is_file

    def __call__(self, name: str) -> str:
        """Return *name* in a spelling that the backend accepts."""
        if name and self._length(name) <= self._longest and not self._refused.search(name) and not _is_marked(name):
            return name
        plain = self._refused.sub(lambda found: "_" * len(found[0]), name) or "_"
        plain = self._lead + plain if self._refused.match(plain) else plain
        suffix = found[0] if self._is_file and (found := _SUFFIXES.search(plain)) else ""
        room = self._longest - len(f"--{digest(name)}{suffix}")
        return f"{self._cut(plain.removesuffix(suffix), room)}--{digest(name)}{suffix}"

    def originals(self, names: Iterable[str]) -> dict[str, str]:
        """Return those of *names* that are respelt, by the eight digits of their spellings."""
        return {digest(name): name for name in names if self(name) != name}

    def _length(self, name: str) -> int:
        return len(name.encode("utf-8", "surrogatepass")) if self._is_file else len(name)

    def _cut(self, plain: str, room: int) -> str:
        return plain.encode()[:room].decode("utf-8", "ignore") if self._is_file else plain[:room]


def digest(name: str) -> str:
    """Return a hash of *name* as eight hex digits, the same in every process."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def text_of(value: str, longest: int | None = None) -> str:
    r"""
    Return *value* as a text that every backend accepts: NUL and lone surrogates are escaped, as in `caf\udce9`.

    With *longest*, a longer text is cut, and ends in `…`.
    """
    text = _NO_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"


def _is_marked(name: str) -> bool:
    return "--" in name[-48:] and _MARKED.search(name) is not None
