"""The ranks and the attempts of a run, each with its state, as far as its files tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from refunc.journal.alive import lives_at
from refunc.journal.kinds import CRASHED, RUNNING
from refunc.journal.ranks import RankFile, rank_files
from refunc.journal.record import RunEnd
from refunc.runs.writers import Writer

if TYPE_CHECKING:
    from refunc.runs.run import Run

#: The most ranks and attempts whose files are read; of a stranger's other ranks, those that have records are listed.
_MOST_READ: Final = 1 << 12
#: The ranks of an attempt whose start is looked at: they come at about the same time.
_FIRST: Final = 64
#: The most ranks of a run that have a curve each in a chart.
_MOST_DRAWN: Final = 64


@attrs.frozen
class RankState:
    """
    One rank in the last attempt that it took part in; `points` and `lines` are those of all its writers and attempts.

    `error` is the traceback that it failed with.
    """

    rank: int
    attempt: int
    host: str
    pid: int | None
    status: str
    points: int
    lines: int
    error: str | None = None


@attrs.frozen
class AttemptState:
    """One attempt; `start_time` is in seconds since 1970, and `step` is the one that it went back to."""

    attempt: int
    start_time: float | None
    step: int | float | None
    ranks: int


def ranks_drawn(run: Run, metric: str) -> list[int]:
    """Return the first ranks that logged *metric*, as many as a chart shows. Raises UnknownMetricError."""
    having = {int(rank) for rank in run.metrics(metric, rank="all").ranks if rank is not None}
    return sorted(having)[:_MOST_DRAWN]


def ranks_of(run: Run) -> list[RankState]:
    """Return the ranks of *run*; none if it was not launched."""
    writers: dict[int, list[Writer]] = {}
    for writer in run.writers:
        writers.setdefault(writer.rank or 0, []).append(writer)
    newest = {file.role.rank or 0: file for file in rank_files(run.folder)}  # sorted by attempts
    ends = _ends_of(run)
    found = []
    for number, rank in enumerate(run.ranks):
        of_rank = writers.get(rank, [])
        file = newest.get(rank) if number < _MOST_READ else None
        if of_rank or file is not None:
            found.append(_rank(run, rank, of_rank, file, ends))
    return found


def attempts_of(run: Run) -> list[AttemptState]:
    """Return the attempts of *run*, the first one first."""
    files: dict[int, list[RankFile]] = {}
    for file in rank_files(run.folder):
        files.setdefault(file.role.attempt, []).append(file)
    ranks: dict[int, set[int]] = {attempt: {each.role.rank or 0 for each in found} for attempt, found in files.items()}
    for writer in run.writers:
        ranks.setdefault(writer.attempt, set()).add(writer.rank or 0)
    steps = run.content().rewinds
    numbers = sorted(ranks)
    read = {*numbers[:1], *numbers[-_MOST_READ:]}
    return [
        AttemptState(
            attempt,
            _start_of(run, attempt, files.get(attempt, []) if attempt in read else []),
            steps.step_of(attempt),
            len(ranks[attempt]),
        )
        for attempt in numbers
    ]


def state_of(run: Run) -> dict[str, Any]:
    """Return the members that a document about a run of several ranks or attempts has: all of this as plain values."""
    return {
        "attempt": run.attempt,
        "attempts": [attrs.asdict(each) for each in attempts_of(run)],
        "ranks": [attrs.asdict(each) for each in ranks_of(run)],
        "writers": [attrs.asdict(each) for each in run.writers],
    }


def _ends_of(run: Run) -> dict[tuple[int, int], RunEnd]:
    """Return the last end of each process, by its attempt and rank."""
    content = run.content()
    found: dict[tuple[int, int], RunEnd] = {}
    for name, writer in content.writers.items():
        role = content.roles[name]
        for note in writer.notes:
            if isinstance(note.record, RunEnd):
                found[role.attempt, role.rank or 0] = note.record
    return found


def _rank(
    run: Run, rank: int, writers: list[Writer], file: RankFile | None, ends: dict[tuple[int, int], RunEnd]
) -> RankState:
    attempts = [writer.attempt for writer in writers] + ([file.role.attempt] if file is not None else [])
    attempt = max(attempts)
    facts = file.facts() if file is not None else {}
    own = next((writer for writer in writers if writer.attempt == attempt), None)
    host, pid = facts.get("host"), facts.get("pid")
    end = ends.get((attempt, rank))
    return RankState(
        rank=rank,
        attempt=attempt,
        host=host if isinstance(host, str) else own.host if own is not None else "",
        pid=pid if type(pid) is int else own.pid if own is not None else None,
        status=end.status if end is not None else _unended(run, file),
        points=sum(writer.points for writer in writers),
        lines=sum(writer.lines for writer in writers),
        error=end.error if end is not None else None,
    )


def _unended(run: Run, file: RankFile | None) -> str:
    """Return the status of a rank without an end: that of its process, or of the run if that cannot be known."""
    if file is None:
        return run.status if run.status in (RUNNING, CRASHED) else CRASHED
    return CRASHED if lives_at(run.folder, file.path) is False else RUNNING


def _start_of(run: Run, attempt: int, files: list[RankFile]) -> float | None:
    if attempt == 1:
        return run.start_time
    times = [file.facts().get("time") for file in files[:_FIRST]]
    return min((float(time) for time in times if type(time) in (int, float)), default=None)  # type: ignore[arg-type]
