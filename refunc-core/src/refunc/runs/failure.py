"""Where a run failed, and why: its host, and the last line of its error with the rank that it came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from refunc.journal.ranks import newest, rank_files
from refunc.runs.run import Run

if TYPE_CHECKING:
    from refunc.runs.summary import Summary

#: The line before the error of one of several ranks; see `journal/ends.py`.
_RANK: Final = re.compile(r"rank (\d{1,7}):\n")


def failure_of(run: Run, summary: Summary) -> dict[str, Any]:
    """Return the host of *run*, or of the rank that failed, the error's last line, and that rank; None for none."""
    said = (summary.end.error if summary.end is not None else None) or ""
    of_rank = _RANK.match(said)
    lines = [line for line in said.splitlines() if line.strip()]
    host, rank = run.birth.get("host"), int(of_rank[1]) if of_rank is not None else None
    if rank is not None:
        host = next((facts["host"] for facts in _facts(run, rank) if isinstance(facts.get("host"), str)), host)
    return {
        "host": host if isinstance(host, str) else None,
        "error": lines[-1].strip() if lines else None,
        "error_rank": rank,
    }


def _facts(run: Run, rank: int) -> list[dict[str, Any]]:
    return [file.facts() for file in newest(rank_files(run.folder)) if file.role.rank == rank]
