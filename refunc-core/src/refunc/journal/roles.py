"""
The role of a process in a run, which is the end of its name as a writer: `node7-4711-mwtfezun-n6xe_r3a2` is rank 3 in
attempt 2.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

_ROLE: Final = re.compile(r"-[0-9a-z]{4}_(?:r([0-9]{1,7}))?(?:a([0-9]{1,6}))?$")


class Role(NamedTuple):
    """The part of a process in a run: its attempt, counted from 1, and its rank, None without a launch."""

    attempt: int = 1
    rank: int | None = None

    @property
    def is_main(self) -> bool:
        """Whether its curves are the run's: it is rank 0, or the run has no ranks."""
        return not self.rank

    def members(self) -> dict[str, int]:
        """Return the members of the first line of its segments."""
        members = {"attempt": self.attempt} if self.attempt > 1 else {}
        return members if self.rank is None else {**members, "rank": self.rank}

    def suffix(self) -> str:
        """Return the end of the names of its writers."""
        rank = f"r{self.rank}" if self.rank is not None else ""
        attempt = f"a{self.attempt}" if self.attempt > 1 else ""
        return f"_{rank}{attempt}" if rank or attempt else ""


@lru_cache(maxsize=4_096)
def role_of(writer: str) -> Role:
    """Return the role of the process called *writer*."""
    found = _ROLE.search(writer)
    if found is None:
        return Role()
    rank, attempt = found.groups()
    return Role(max(1, int(attempt or 1)), int(rank) if rank is not None else None)
