"""How a run of several processes ended, from the ends of all: it goes on while one lives, and has failed if one has."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from refunc.journal.alive import is_alive
from refunc.journal.kinds import COMPLETED, FAILED
from refunc.journal.ranks import RankFile, newest
from refunc.journal.record import RunEnd
from refunc.journal.roles import role_of


def end_of_all(files: list[RankFile], ends: Iterable[RunEnd]) -> RunEnd | None:
    """
    Return the end of a run; None while a process of its last attempt may live, or if one is gone without an end.

    If all of them have ended, it does not matter whether they can be seen: the run may be a copy from other hosts.

    Args:
        files: Those of `ranks/`; if there are none, as in an incomplete copy, the ends themselves tell who took part.
        ends: The end records of all writers, in any order.
    """
    found = _newest_ends(ends)
    took_part = [(file.role.attempt, file.role.rank or 0) for file in newest(files)] if files else _last(found)
    of_ranks = {rank: found[attempt, rank] for attempt, rank in sorted(took_part) if (attempt, rank) in found}
    # With all ends it is over, even if it cannot be seen from here that the processes are gone.
    if files and len(of_ranks) < len(took_part) and is_alive(files[0].folder) is not False:
        return None
    failed = [rank for rank, end in of_ranks.items() if end.status == FAILED]
    if not failed and (not of_ranks or len(of_ranks) < len(took_part)):
        return None
    unlike = [rank for rank, end in of_ranks.items() if end.status != COMPLETED]
    return _joined(of_ranks, [*failed, *unlike, min(of_ranks)][0])


def _newest_ends(ends: Iterable[RunEnd]) -> dict[tuple[int, int], RunEnd]:
    """Return the newest end of each attempt and rank."""
    found: dict[tuple[int, int], RunEnd] = {}
    for end in ends:
        role = role_of(end.writer)
        known = found.get((role.attempt, role.rank or 0))
        if known is None or end.time >= known.time:
            found[role.attempt, role.rank or 0] = end
    return found


def _last(found: dict[tuple[int, int], RunEnd]) -> list[tuple[int, int]]:
    last = max((attempt for attempt, _ in found), default=0)
    return [role for role in found if role[0] == last]


def _joined(of_ranks: dict[int, RunEnd], deciding: int) -> RunEnd:
    """Return one end, with the status and error of the *deciding* rank, and the sums of all."""
    first, end = of_ranks[min(of_ranks)], of_ranks[deciding]
    error = end.error
    if error is not None and len(of_ranks) > 1:
        error = f"rank {deciding}:\n{error}"
    return attrs.evolve(
        first,
        status=end.status,
        error=error,
        time=max(each.time for each in of_ranks.values()),
        duration=max(each.duration for each in of_ranks.values()),
        dropped=sum(each.dropped for each in of_ranks.values()),
        size=max(each.size for each in of_ranks.values()),
        defined=any(each.defined for each in of_ranks.values()),
    )
