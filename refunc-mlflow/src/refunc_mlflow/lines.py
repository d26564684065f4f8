"""The lines of a run as one text, for a tracker that has no place for lines."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import NamedTuple

from refunc.plugins import LogLine, RunInfo

#: The most characters of the text, of which the last are kept; MLflow's page still shows such a file completely.
MAX_TEXT = 4_000_000
ERRORS = frozenset({"ERROR", "CRITICAL"})


class Lines(NamedTuple):
    """All lines of a run."""

    text: str = ""
    total: int = 0
    errors: int = 0


def lines_of(run: RunInfo) -> Lines:
    """
    Return the lines in the journal of *run*, the newest 4 million characters of them.

    Read from the journal, and not collected from hook calls: a restarted delivery process has not seen all of them.
    """
    from refunc.runs import Run, RunFormatError

    kept: deque[str] = deque()
    size = count = errors = 0
    try:
        opened = Run.open(run.folder)
    except RunFormatError:  # its folder is gone
        return Lines()
    for record in opened.records():
        if isinstance(record, LogLine):
            count += 1
            errors += record.level in ERRORS
            kept.append(_text(record))
            size += len(kept[-1])
            while size > MAX_TEXT:
                size -= len(kept.popleft())
    left_out = count - len(kept)
    head = f"… {left_out:,} earlier lines are only in the run …\n" if left_out else ""
    return Lines(head + "".join(kept), count, errors)


def _text(line: LogLine) -> str:
    moment = datetime.fromtimestamp(line.time).astimezone().isoformat(" ", "milliseconds")
    parts = {**line.metrics, **line.other, **line.extra, "step": line.step, "epoch": line.epoch}
    fields = "".join(f"  {name}={value}" for name, value in parts.items() if value is not None)
    trace = f"\n{line.exception}" if line.exception else ""
    return f"{moment} {line.level:<10} {line.logger}  {line.message}{fields}{trace}\n"
