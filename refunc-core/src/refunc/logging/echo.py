"""How often metrics are shown: each set of names at once, then every 10 s on a terminal, every 60 s elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

TERMINAL_INTERVAL = 10.0
FILE_INTERVAL = 60.0
#: Sets of names that are remembered; a script that makes up names without end must not fill memory.
MAX_SETS = 1_000


class Echo:
    """Decides, on the calling thread and without a lock, whether metrics with these names are due to be shown."""

    def __init__(self) -> None:
        self._due: dict[tuple[Any, ...], float] = {}
        self._interval = TERMINAL_INTERVAL if _on_terminal() else FILE_INTERVAL

    def is_due(self, metrics: Mapping[str, Any]) -> bool:
        """Whether a set of metrics with these names was not shown for an interval; if so, it counts as shown."""
        names = tuple(metrics)
        now = time.monotonic()
        if now < self._due.get(names, 0.0):
            return False
        if len(self._due) >= MAX_SETS:
            self._due.clear()
        self._due[names] = now + self._interval
        return True


def _on_terminal() -> bool:
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, ValueError):  # no stderr, or a closed one
        return False
