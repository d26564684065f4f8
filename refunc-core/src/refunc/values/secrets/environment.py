"""The values of the environment's secrets, which are masked everywhere."""

from __future__ import annotations

import os
from time import monotonic
from typing import Final

from refunc.values.secrets.values import is_secret_of_environment

#: Seconds after which the variables are compared again, even if their number is the same: about one batch.
WINDOW: Final = 0.05
#: The most values that are remembered; a value that was removed from the environment stays known.
_MOST: Final = 200
#: The dict of `os.environ`, if it has one: its size is checked for each text.
_variables: Final = getattr(os.environ, "_data", os.environ)


class EnvironmentSecrets:
    """
    Knows the values of the environment's secrets, from the first text on.

    A new variable changes their number, which is checked for each text; a changed value is noticed a batch later. They
    are read only if one has changed. Threads share it: its state is replaced by one assignment.
    """

    def __init__(self) -> None:
        self._count = -1
        self._until = 0.0
        #: The variables when they were last read.
        self._read: list[object] = []
        self._known: tuple[str, ...] = ()

    def values(self) -> tuple[str, ...]:
        """Return the values, longest first: one may contain another."""
        if len(_variables) != self._count or monotonic() > self._until:
            self._look()
        return self._known

    def _look(self) -> None:
        self._count = len(_variables)
        self._until = monotonic() + WINDOW
        try:
            values: list[object] = list(_variables.values())
            if values == self._read:
                return
            self._read = values
            found = [value for name, value in os.environ.items() if is_secret_of_environment(name, value)]
        except Exception:  # a variable was removed meanwhile: the next text looks again
            self._count = -1
            return
        new = [value for value in found if value not in self._known]
        if new:
            self._known = tuple(sorted((*new, *self._known)[:_MOST], key=len, reverse=True))


environment: Final = EnvironmentSecrets()
