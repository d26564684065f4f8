"""
The checks of runs that launchers started: ranks that are missing, and folders and runs that belong together.

The others' files do not show where a rank that is missing went, so a finding says which ranks there are.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from refunc.journal.kinds import RUNNING
from refunc.journal.ranks import newest, rank_files
from refunc.processes.launch import launch
from refunc.processes.launchers import LaunchError
from refunc.runs.run import Run
from refunc_commands.upkeep.findings import Finding

#: The most ranks, names and folders that a finding lists.
_MOST_LISTED: Final = 8
#: A larger number of ranks is none: no launch has so many.
_MOST_RANKS: Final = 10_000_000


@attrs.frozen
class _Taken:
    """The ranks that took part in the last attempt of a run; `world_size` is 0 where no file tells it."""

    run: Run
    ranks: frozenset[int]
    world_size: int
    key: str


def launch_here() -> Iterator[Finding]:
    """Check the variables of a launcher, as a training that is started here would see them."""
    try:
        launch()
    except LaunchError as error:
        yield Finding("environment", "problem", str(error))


def parts_of_runs(runs: Iterable[Run]) -> Iterator[Finding]:
    """Find folders with one id: parts of a run whose ranks had no common store, or copies."""
    by_id: dict[str, list[Run]] = {}
    for run in runs:
        by_id.setdefault(run.run_id, []).append(run)
    for run_id, found in by_id.items():
        if len(found) > 1:
            names = _listed([run.folder.name for run in found])
            command = " ".join(["refunc merge", *(shlex.quote(str(run.folder)) for run in found[:_MOST_LISTED])])
            is_launched = all(run.birth.get("launch") for run in found)
            text = f"{len(found):,} folders are of one run, {run_id}: {names}"
            yield Finding("ranks", "problem" if is_launched else "note", text, f"{command} brings them together.")


def ranks_and_names(runs: Iterable[Run]) -> Iterator[Finding]:
    """Find runs without some of their ranks, and runs that ranks of one launch opened under different names."""
    launches: dict[str, list[_Taken]] = {}
    for run in runs:
        taken = _taken_part(run)
        missing = taken.world_size - len(taken.ranks)
        if taken.ranks and missing > 0:
            launches.setdefault(taken.key, []).append(taken)
    for key, parts in launches.items():
        names = {part.run.experiment_name for part in parts}
        if key and len(names) > 1 and not frozenset.intersection(*(part.ranks for part in parts)):
            told = [f"{part.run.experiment_name!r} ({_ranks(part.ranks)})" for part in parts]
            text = f"ranks of one launch opened runs of different experiments: {_listed(told)}"
            yield Finding("ranks", "problem", text, "Give a run the same experiment name on all ranks.")
        else:
            for part in parts:
                yield from _missing(part)


def _missing(part: _Taken) -> Iterator[Finding]:
    name, count = part.run.folder.name, len(part.ranks)
    text = f"{name}: {count:,} of {part.world_size:,} ranks wrote to it: {_ranks(part.ranks)}"
    if part.run.status == RUNNING:
        yield Finding("ranks", "note", text, "The others may come later.")
    elif part.ranks == {0}:  # many programs log on rank 0 alone
        yield Finding("ranks", "note", text, "If the others wrote to other stores, see `refunc merge --help`.")
    else:
        hint = "If the others wrote to other stores, copy their folders here, and merge them with `refunc merge`."
        yield Finding("ranks", "problem", text, hint)


def _taken_part(run: Run) -> _Taken:
    try:
        files = rank_files(run.folder)
    except OSError:  # told by the check of the run
        files = []
    last = newest(files) if files else []
    facts = last[0].facts() if last else {}
    size, key = facts.get("world_size"), facts.get("key")
    return _Taken(
        run,
        frozenset(file.role.rank or 0 for file in last),
        size if type(size) is int and 0 < size < _MOST_RANKS else 0,
        key if isinstance(key, str) else "",
    )


def _ranks(ranks: frozenset[int]) -> str:
    return f"rank{'s' * (len(ranks) > 1)} {_listed([str(rank) for rank in sorted(ranks)])}"


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - _MOST_LISTED:,} more" if len(texts) > _MOST_LISTED else ""
    return ", ".join(texts[:_MOST_LISTED]) + more
