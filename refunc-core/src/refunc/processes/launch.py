"""
Which launch this process belongs to: from the variables that launchers set beside the rank (see `launchers`).

They give two names, so that no process has to ask another: `key` is the same for all ranks on all hosts, and again
after a requeue or a restart; `start` is the same for the ranks of this start alone. `REFUNC_RUN_ID` names the run, over
all starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from refunc.processes import inherited
from refunc.processes.forks import in_child
from refunc.processes.launchers import LAUNCHERS, LaunchedRank, LaunchError, count_in, rank_in, step_in
from refunc.processes.parent import has_parent, parent_pid
from refunc.values import settings

#: The most processes between a launcher and its rank.
_MOST_WRAPPERS: Final = 20
_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Launch(NamedTuple):
    """A process in a launch, as its rank and the names of the launch."""

    launcher: str
    rank: int
    world_size: int | None
    local_rank: int | None
    #: The launch, on all hosts and over all its restarts.
    key: str
    #: This start of it.
    start: str
    #: How often SLURM and torchrun have restarted it; both grow from one start to the next.
    restarts: tuple[int, int]
    #: The process of torchrun on this host, which restarts the ranks here; "" if there is none.
    agent: str
    #: Whether a start continues the last one even if no count says so: the user, or Kubernetes, names the run.
    is_named: bool
    #: The id of its first run, if the user gave one.
    run_id: str | None


def launch() -> Launch | None:
    """
    Return this process in its launch; None if it was not launched, or is a worker of such a process.

    Raises:
        LaunchError: A variable has a value that no launcher sets.
    """
    if has_parent() and not _is_rank_of_its_own(os.environ):
        return None
    return launch_in(os.environ)


def launch_of(run_id: str) -> Launch | None:
    """Return this process in the launch of the run *run_id*, as `REFUNC_RUN_ID` names one."""
    return launch_in({**inherited.variables(), settings.RUN_ID.name: run_id})


def is_run_id(text: object) -> bool:
    """Whether *text* can be the id of a run: it is the name of a folder as well."""
    return isinstance(text, str) and _RUN_ID.fullmatch(text) is not None


def launch_in(environ: Mapping[str, str]) -> Launch | None:
    """Return the rank that *environ* tells, in its launch. Raises LaunchError."""
    run_id = _run_id_in(environ)
    found = rank_in(environ)
    job = environ.get("SLURM_JOB_ID") or environ.get("SLURM_JOBID") or ""
    pod = _pod_in(environ) if found is None else ""  # the pods of a launch have an index each
    if found is None and not (run_id or job or pod):
        return None
    here = found or LaunchedRank("", 0, 1, 0, is_one_host=True)
    restarts = (count_in(environ, "SLURM_RESTART_COUNT"), count_in(environ, "TORCHELASTIC_RESTART_COUNT"))
    names = list(_names(environ, here, job, pod))
    key = ["run", run_id] if run_id else names
    start = [*names, *_rendezvous(environ), environ.get("PMIX_NAMESPACE", ""), *map(str, restarts)]
    if here.world_size == 1:  # no other has to find it, and one shell may start many such
        start.append(_process(os.getpid()))
    elif here.is_one_host:
        start.append(_starter(environ, here))
    agent = _agent(environ)
    return Launch(
        launcher=here.launcher,
        rank=here.rank,
        world_size=here.world_size,
        local_rank=here.local_rank,
        key=_hash(key),
        start=_hash(start),
        restarts=restarts,
        agent=_hash([agent]) if agent else "",
        is_named=bool(run_id or (pod and not job)),
        run_id=run_id,
    )


def _run_id_in(environ: Mapping[str, str]) -> str | None:
    given = environ.get(settings.RUN_ID.name, "").strip()
    if given and not _RUN_ID.fullmatch(given):
        raise LaunchError(
            f"{settings.RUN_ID.name}={given[:80]!r} cannot be a run's id. Use up to 64 letters, digits, `_`, `-` and "
            "`.`, the first a letter or a digit. The run gets an id of its own."
        )
    return given or None


def _names(environ: Mapping[str, str], here: LaunchedRank, job: str, pod: str) -> Iterator[str]:
    """Yield the parts of the key, which a restart keeps, by the first that knows of one."""
    elastic = _elastic_id(environ)
    if job:
        # An array's tasks have jobs of their own. A step's number counts the steps of the script, so it comes again.
        yield from ("slurm", environ.get("SLURM_CLUSTER_NAME", ""), job, step_in(environ), elastic)
    elif elastic:
        yield from ("elastic", elastic)
    elif pod:
        yield from ("kubernetes", pod)
    elif environ.get("PMIX_NAMESPACE"):
        yield from ("pmix", environ["PMIX_NAMESPACE"])
    elif environ.get("MASTER_ADDR") and not here.is_one_host:
        yield from ("rendezvous", *_rendezvous(environ))
    else:  # the port may change with a restart, the process that restarts does not
        yield from ("process", _starter(environ, here))


def _elastic_id(environ: Mapping[str, str]) -> str:
    given = environ.get("TORCHELASTIC_RUN_ID", "")
    return "" if given == "none" else given


def _rendezvous(environ: Mapping[str, str]) -> tuple[str, str]:
    return environ.get("MASTER_ADDR", ""), environ.get("MASTER_PORT", "")


def _pod_in(environ: Mapping[str, str]) -> str:
    """Return the name that a pod of an indexed Kubernetes job keeps when it is tried again: `train-3`."""
    if "KUBERNETES_SERVICE_HOST" not in environ or "JOB_COMPLETION_INDEX" not in environ:
        return ""
    return environ.get("HOSTNAME", "")


def _starter(environ: Mapping[str, str], here: LaunchedRank) -> str:
    """Return a name for the process that started this one, as far as all ranks of one host share it."""
    agent = _agent(environ)
    if agent:
        return agent
    controller = count_in(environ, "SUBMITIT_LOCAL_JOB_ID") if here.launcher == "submitit" else 0
    return _process(controller or parent_pid() or _launcher_of(here.variable))


def _launcher_of(variable: str) -> int:
    """Return the nearest process above that was not given this rank: between are wrappers, such as a shell a rank."""
    from refunc.processes.opener import environment_of, parent_of

    pid, mine = os.getppid(), os.fsencode(f"{variable}={os.environ.get(variable, '')}")
    for _ in range(_MOST_WRAPPERS):
        above = parent_of(pid) if mine in environment_of(pid) else None
        if not above:
            break
        pid = above
    return pid


def _agent(environ: Mapping[str, str]) -> str:
    """Return the folder that torchrun makes when it starts, and keeps through its restarts; "" under another."""
    folder, found, _ = environ.get("TORCHELASTIC_ERROR_FILE", "").partition("/attempt_")
    return folder if found else ""


def _process(pid: int) -> str:
    boot, began = _process_facts(pid)
    return f"{boot} {pid} {began}"


def _process_facts(pid: int) -> tuple[str | None, int | None]:
    from refunc.processes.opener import began_of, facts_of_this_process

    return facts_of_this_process(0).get("boot"), began_of(pid)


def _is_rank_of_its_own(environ: Mapping[str, str]) -> bool:
    """
    Whether a child of `multiprocessing` was made a rank by its program, as `torch.multiprocessing.spawn` is used.

    Such a program sets the variables in the child. A worker of a rank was given them when it started.
    """
    given = _at_fork if _at_fork is not None else _given_environment()
    return any(environ.get(variable) and environ[variable] != given.get(variable) for variable in _OF_RANK)


_OF_RANK: Final = (settings.RANK.name, *(variable for _, variable, *_ in LAUNCHERS))
#: The variables with a rank that a forked child had when it began.
_at_fork: dict[str, str] | None = None


@in_child
def _note_variables() -> None:
    global _at_fork
    _at_fork = {variable: os.environ[variable] for variable in _OF_RANK if variable in os.environ}


@cache
def _given_environment() -> dict[str, str]:
    """Return the variables that the program of this process was started with."""
    from refunc.processes.opener import environment_of

    pairs = environment_of("self")
    if not pairs:
        return inherited.variables()  # unknown: no variable counts as set since
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in (pair.partition(b"=") for pair in pairs)}


def _hash(parts: list[str]) -> str:
    from hashlib import blake2b

    said = "\0".join(parts).encode("utf-8", "surrogatepass")
    return blake2b(said, digest_size=12, person=b"refunc launch").hexdigest()


def facts_of(here: Launch) -> dict[str, Any]:
    """Return the members of a rank file that name it in its launch."""
    known: dict[str, Any] = {
        "launcher": here.launcher,
        "world_size": here.world_size,
        "local_rank": here.local_rank,
        "key": here.key,
        "start": here.start,
        "restarts": list(here.restarts),
        "agent": here.agent,
    }
    return {name: value for name, value in known.items() if value is not None and value != ""}
