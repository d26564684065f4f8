"""Where a run failed, and why: its host, and the line of its error that names it, with the rank that it came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from refunc.journal.ranks import newest, rank_files
from refunc.runs.run import Run

if TYPE_CHECKING:
    from refunc.runs.summary import Summary

#: The line before the error of one of several ranks; see `journal/ends.py`.
_RANK: Final = re.compile(r"rank (\d{1,7}):\n")
#: A frame of a traceback, and what Python writes before one of an exception group. Those of the exceptions in a group
#: stand further to the right.
_FRAME: Final = re.compile(r'  (?:\|   )?File ".*", line \d+')
_OF_GROUP: Final = "  | "


def failure_of(run: Run, summary: Summary) -> dict[str, Any]:
    """Return the host of *run*, or of the rank that failed, the line that names its error, and that rank; or None."""
    said = (summary.end.error if summary.end is not None else None) or ""
    of_rank = _RANK.match(said)
    host, rank = run.birth.get("host"), int(of_rank[1]) if of_rank is not None else None
    if rank is not None:
        host = next((facts["host"] for facts in _facts(run, rank) if isinstance(facts.get("host"), str)), host)
    return {
        "host": host if isinstance(host, str) else None,
        "error": named_error(said),
        "error_rank": rank,
    }


def named_error(error: str) -> str | None:
    """
    Return the line of *error* that names the exception and begins its message, such as `ValueError: no such layer`.

    It is the one behind the last frame: of several tracebacks, as of an exception's cause or of a worker whose error a
    message repeats, the last one. A text without frames is named by its last line; None if there is none.
    """
    lines = [line for line in error.splitlines() if line.strip()]
    frames = [at for at, line in enumerate(lines) if _FRAME.match(line)]
    behind = [line.removeprefix(_OF_GROUP) for line in lines[frames[-1] :]] if frames else []
    named = next((line for line in behind if not line[0].isspace()), None)
    return named or (lines[-1].strip() if lines else None)


def _facts(run: Run, rank: int) -> list[dict[str, Any]]:
    return [file.facts() for file in newest(rank_files(run.folder)) if file.role.rank == rank]
