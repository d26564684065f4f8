"""Attributes of other modules and objects that are replaced while bars are open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Shadows:
    """The replaced attributes, each with the way back."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def add(self, owner: Any, name: str, function: Callable[..., Any]) -> None:
        """Replace the attribute *name* of *owner* by *function* until `remove`; a later replacement by others stays."""
        has_own, before = name in vars(owner), getattr(owner, name)
        setattr(owner, name, function)

        def undo() -> None:
            if vars(owner).get(name) is function:
                setattr(owner, name, before) if has_own else delattr(owner, name)

        self._undo.append(undo)

    def remove(self) -> None:
        """Restore all attributes, the last one first."""
        while self._undo:
            self._undo.pop()()
