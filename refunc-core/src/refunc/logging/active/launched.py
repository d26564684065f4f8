"""
The run of a launch: found by all of its ranks without a word between them, whichever comes first.

The run's id follows from the launch, the experiment's name and a count, and its folder from the id. A rank takes part
in each run once in an attempt, by a file that it alone can make; so the next run that it opens is the next one of the
launch, and the n-th run of a script is the n-th on every rank.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from refunc.journal.alive import life_of
from refunc.journal.birth import birth_in
from refunc.journal.folder import SharedRunFolder
from refunc.journal.kinds import COMPLETED
from refunc.journal.ranks import RankFile, newest, rank_files
from refunc.journal.roles import Role
from refunc.logging.notices import warn_once
from refunc.processes.launch import Launch, facts_of, launch, launch_of
from refunc.processes.launchers import LaunchError
from refunc.values.names import slug

if TYPE_CHECKING:
    from refunc.journal.ranks import RankFile

#: Runs of one name that a launch looks through before it gives up: a store that is full of them is damaged.
_MOST_RUNS: Final = 100_000
#: Runs of the store in which another name is looked for.
_MOST_LOOKED_AT: Final = 64
_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class Joined(NamedTuple):
    """A run that this process takes part in."""

    folder: SharedRunFolder
    birth: dict[str, Any]
    role: Role


def launch_here(run_id: str | None = None) -> Launch | None:
    """
    Return this process's launch, or that of the run *run_id*. If a variable is wrong, one warning says so, and there is
    none.
    """
    try:
        return launch_of(run_id) if run_id is not None else launch()
    except LaunchError as error:
        warn_once("launch", "%s", error)
        return None


def join(here: Launch, store: Path, birth: dict[str, Any]) -> Joined | None:
    """
    Take part in the run of this launch that comes next for this rank; None if the disk refuses.

    Args:
        birth: The facts for `run.json`; its id is replaced by that of the run.
    """
    try:
        return _joined(here, store, birth)
    except OSError as error:
        warn_once(
            "launched run",
            "rank %d: the run of its launch cannot be opened in %s: %s. Its records go to a run of their own.",
            here.rank,
            store,
            error,
        )
        return None


def _joined(here: Launch, store: Path, birth: dict[str, Any]) -> Joined | None:
    name, refused = birth["experiment_name"], ""
    for number in range(1, _MOST_RUNS):
        for other in count():
            run_id = _id_of(here, name, number, other)
            folder = store / (run_id if run_id == here.run_id else f"{slug(name)}_{run_id}")
            attempt, why_not = _attempt_in(folder, here, name)
            refused = refused or why_not
            if attempt is None:
                continue
            own = {**birth, "run_id": run_id, "launch": {"launcher": here.launcher, "key": here.key, "run": number}}
            role = Role(attempt, here.rank)
            shared = SharedRunFolder(folder, own, role, {**facts_of(here), **facts_here()})
            try:
                shared.create()
            except FileExistsError:  # this rank was in it before: the run that it opens now is the next one
                break
            if refused:
                warn_once(f"refused {run_id}", "%s This start's records go to run %s.", refused, run_id)
            _warn_of_other_names(store, here, name)
            return Joined(shared, {**own, **of_first(folder), "attempt": attempt}, role)
    return None


def _attempt_in(folder: Path, here: Launch, experiment: str) -> tuple[int | None, str]:
    """Return the attempt of the run in *folder* that this start is; if there is none, a reason that needs telling."""
    found = _experiment_in(folder)
    if found is not None and found != experiment:
        return None, f"Run {folder.name} belongs to experiment {found!r}." if here.run_id else ""
    files = rank_files(folder)
    if not files:
        return 1, ""
    begun = begun_by(here, files)
    if begun is not None:
        return begun, ""
    last = files[-1]
    why_not = "" if _is_of_another(here, last, files) else _why_not_again(folder, here, last.facts())
    if why_not is None:
        return last.role.attempt + 1, ""
    # Another rank may have begun the attempt since: it is the one that lives, or has completed the run.
    begun = begun_by(here, rank_files(folder))
    return (begun, "") if begun is not None else (None, why_not)


def begun_by(here: Launch, files: list[RankFile]) -> int | None:
    """Return the newest attempt that a rank of this start has begun; None if there is none."""
    attempts = {file.role.attempt: file for file in files}
    same = (attempt for attempt, file in reversed(attempts.items()) if file.facts().get("start") == here.start)
    return next(same, None)


def _is_of_another(here: Launch, last: RankFile, files: list[RankFile]) -> bool:
    """
    Whether the last attempt was one of another torchrun: the id of a rendezvous may be the same for many starts.

    Each host has a torchrun of its own, so only a rank on this host can tell. A restart by SLURM is another torchrun.
    """
    before = last.facts().get("restarts")
    if not here.agent or not isinstance(before, list) or list(here.restarts)[:1] != before[:1]:
        return False
    host = platform.node()
    agents = (facts.get("agent") for file in newest(files) if (facts := file.facts()).get("host") == host)
    return next(agents, here.agent) != here.agent


def _why_not_again(folder: Path, here: Launch, before: dict[str, Any]) -> str | None:
    """Return why this start does not go on with a run, "" if nothing asks for that; None if it does."""
    is_counted = is_restart(here, before)
    if not (is_counted or here.is_named):
        return ""
    if not is_counted:
        life = life_of(folder)
        if life.lives and life.is_sure:
            return f"Run {folder.name} is still open, in process {before.get('pid')} on {before.get('host')}."
    return "" if _is_completed(folder) else None


def is_restart(here: Launch, before: dict[str, Any]) -> bool:
    """Whether the launcher has counted a restart since the process with these facts of a rank file."""
    restarts = before.get("restarts")
    return isinstance(restarts, list) and before.get("key") == here.key and list(here.restarts) > restarts


def _is_completed(folder: Path) -> bool:
    from refunc.runs.run import Run

    return Run.open(folder).status == COMPLETED


def _experiment_in(folder: Path) -> str | None:
    """Return the name of the experiment of the run in *folder*; None if there is none yet."""
    try:
        return str(birth_in(folder).get("experiment_name"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return ""


def of_first(folder: Path) -> dict[str, Any]:
    """Return the facts that the run has from the process that made it."""
    try:
        birth = birth_in(folder)
    except (OSError, ValueError):
        return {}
    return {name: birth[name] for name in ("run_name", "parent_id", "start_time") if birth.get(name) is not None}


def facts_here() -> dict[str, Any]:
    return {"host": platform.node(), "pid": os.getpid(), "time": time.time()}


def _id_of(here: Launch, experiment: str, number: int, other: int) -> str:
    if here.run_id and (number, other) == (1, 0):
        return here.run_id
    said = "\0".join((here.key, experiment, str(number), str(other))).encode("utf-8", "surrogatepass")
    drawn = int.from_bytes(blake2b(said, digest_size=16, person=b"refunc run id").digest(), "little")
    return "".join(_LETTERS[drawn // 36**digit % 36] for digit in range(8))


def _warn_of_other_names(store: Path, here: Launch, name: str) -> None:
    """Say so if another rank of this start has opened a run of another experiment: each name gets a run of its own."""
    if not here.world_size or here.world_size == 1:
        return
    for folder in _latest_in(store):
        if any(file.facts().get("start") == here.start for file in rank_files(folder)[-1:]):
            other = _experiment_in(folder)
            if other and other != name:
                warn_once(
                    "names of a launch",
                    "rank %d opens a run of experiment %r, another rank of the same launch one of %r. The ranks of a "
                    "launch share a run if they give it the same experiment name.",
                    here.rank,
                    name,
                    other,
                )
                return


def _latest_in(store: Path) -> list[Path]:
    with suppress(OSError), os.scandir(store) as entries:
        found = [(entry.stat(follow_symlinks=False).st_mtime, entry.path) for entry in entries if entry.is_dir()]
        return [Path(path) for _, path in sorted(found, reverse=True)[:_MOST_LOOKED_AT]]
    return []
