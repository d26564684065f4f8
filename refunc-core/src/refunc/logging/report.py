"""What refunc itself has to say about runs: on the stdlib logger `refunc.runs`, each thing once."""

from __future__ import annotations

import logging
from collections import Counter

report = logging.getLogger("refunc.runs")

#: Warnings of one kind in a process: a kind may have as many keys as a script has names.
MAX_SAID = 1_000

_said: set[str] = set()
_said_of_kind: Counter[str] = Counter()


def warn_once(key: str, message: str, *args: object) -> None:
    """Warn once a process for each *key*, and at most 1,000 times for all whose first word is the same."""
    kind = key.partition(" ")[0]
    if key in _said or _said_of_kind[kind] >= MAX_SAID:
        return
    _said.add(key)
    _said_of_kind[kind] += 1
    report.warning(message, *args)
    if _said_of_kind[kind] == MAX_SAID:
        report.warning("%s: %d warnings of this kind were given; further ones are not.", kind, MAX_SAID)
