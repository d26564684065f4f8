"""The last lines that were logged outside any run: they wait here, and become the head of the next one."""

from __future__ import annotations

import time
from collections import deque
from itertools import chain, repeat, tee
from typing import Any

from refunc.journal.kinds import LOG
from refunc.journal.line import LOGGER, QueuedRecord
from refunc.logging.active.run import ActiveRun
from refunc.logging.active.waiting import Waiting

loose_lines = Waiting()


def take_loose_lines(run: ActiveRun) -> set[str]:
    """Write the lines that were logged before *run* to its head; return the names of their loggers."""
    # By identity. All of it is C, see `write_all`: exactly the lines that are taken are noted.
    taken: dict[int, Any] = {}
    lines, identified = tee(map(deque.popleft, repeat(loose_lines.items, len(loose_lines.items))))
    lines = map(taken.setdefault, map(id, identified), lines)
    head: list[Any] = []
    if lost := loose_lines.fallen_out():
        text = f"{lost:,} lines before these are not in the run: too many were logged before it"
        fields = {"level": "INFO", "message": text, "logger": run.birth["logger"]}
        head.append(QueuedRecord(LOG, time.time(), fields))
    try:
        # Their log files have refunc's own lines already.
        run.writer.write_all(chain(head, run.writer.known_to_tap(lines, tuple)))
    except IndexError:  # another thread's run took lines meanwhile
        run.writer.write_all(())
    return {line[LOGGER] if type(line) is tuple else str(line.fields.get("logger")) for line in taken.values()}
