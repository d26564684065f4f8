"""What refunc itself has to say about runs: on the stdlib logger `refunc.runs`, each thing once."""

from __future__ import annotations

import logging

report = logging.getLogger("refunc.runs")

_said: set[str] = set()


def warn_once(key: str, message: str, *args: object) -> None:
    """Warn once a process for each *key*."""
    if key not in _said:
        _said.add(key)
        report.warning(message, *args)
