"""
The rank that a launcher gives to a process.

It does so by variables of the environment, the first of which counts:

    REFUNC_RANK                                  the user; stands over all others
    RANK, WORLD_SIZE                             torchrun, accelerate, Ray Train, DeepSpeed
    LOCAL_RANK, NODE_RANK                        Lightning
    OMPI_COMM_WORLD_RANK, PMIX_RANK, PMI_RANK    mpirun
    SLURM_PROCID                                 srun
    JSM_NAMESPACE_RANK                           jsrun
    SUBMITIT_LOCAL_GLOBALID                      submitit, on this machine

Those of mpirun come before that of srun: a batch script has SLURM_PROCID=0, and an mpirun in it passes that on to each
of its processes. For the same reason SLURM_PROCID counts only within a step that srun has started; SLURM gives the
shell of an interactive job, and at some places the batch script, a SLURM_STEP_ID that is not the number of a step.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from refunc.values import settings

#: Launcher, and the variables with the rank, the number of ranks, the rank on the host, and the ranks on the host.
LAUNCHERS: Final = (
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("Lightning", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_RANK", ""),
    (
        "mpirun",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    ("mpirun", "PMIX_RANK", "", "", ""),
    ("mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""),
    ("jsrun", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_LOCAL_RANK", ""),
    (
        "submitit",
        "SUBMITIT_LOCAL_GLOBALID",
        "SUBMITIT_LOCAL_NTASKS",
        "SUBMITIT_LOCAL_LOCALID",
        "SUBMITIT_LOCAL_NTASKS",
    ),
)
_ANY: Final = (
    *(settings.RUN_ID.name, settings.RANK.name, "SLURM_JOB_ID", "SLURM_JOBID", "JOB_COMPLETION_INDEX"),
    *(variable for _, variable, *_ in LAUNCHERS),
)
#: The numbers from here on are those of SLURM's own: the batch script, the shell of an interactive job, and others.
_NO_STEP: Final = 0xFFFF_FFF0
_LOOPBACK: Final = re.compile(r"localhost|127\..*|::1", re.ASCII)


class LaunchError(ValueError):
    """A variable has a value that no launcher sets; the text says which."""


def is_launched() -> bool:
    """Whether a variable of a launcher, or one that names the run, is set: a first look, which costs little."""
    return any(os.environ.get(variable) for variable in _ANY)


def launch_rank() -> int | None:
    """
    Return the rank that a launcher gave to this process, or to the process whose worker it is.

    None if it was not launched, or if the launcher's variables contradict each other.
    """
    try:
        found = rank_in(os.environ)
    except LaunchError:
        return None
    return found.rank if found is not None else None


class LaunchedRank(NamedTuple):
    """A process among the ranks of its launch."""

    launcher: str
    rank: int
    world_size: int | None
    local_rank: int | None
    is_one_host: bool
    #: The variable that has the rank.
    variable: str = ""


def rank_in(environ: Mapping[str, str]) -> LaunchedRank | None:
    """Return the rank that *environ* tells; None without a launcher. Raises LaunchError."""
    given = environ.get(settings.RANK.name)
    if given:
        number = _number(environ, settings.RANK.name)
        size = _number(environ, "WORLD_SIZE") if environ.get("WORLD_SIZE") else None
        name = settings.RANK.name
        return _checked(LaunchedRank(name, number, size, None, is_one_host=size is None, variable=name))
    for launcher, variable, of_all, of_host, on_host in LAUNCHERS:
        if not environ.get(variable) or (launcher == "srun" and not step_in(environ)):
            continue
        number = _number(environ, variable)
        if launcher == "srun" and not environ.get(of_all):
            of_all = "SLURM_NTASKS"
        size = _number(environ, of_all) if environ.get(of_all) else None
        local = _number(environ, of_host) if environ.get(of_host) else None
        here = _number(environ, on_host) if environ.get(on_host) else None
        if launcher == "Lightning":
            number = _of_lightning(environ, number, size)
        is_one_host = size is not None and (size == here or size == 1)
        is_one_host |= here is None and bool(_LOOPBACK.fullmatch(environ.get("MASTER_ADDR", "")))
        return _checked(LaunchedRank(launcher, number, size, local, is_one_host, variable))
    return None


def _of_lightning(environ: Mapping[str, str], local: int, size: int | None) -> int:
    """Return the rank of a process that Lightning started itself, which it tells only its rank on the host."""
    node = count_in(environ, "NODE_RANK")
    if not node or size is None:
        return local
    nodes = max(node + 1, count_in(environ, "NUM_NODES") or node + 1)
    return node * (size // nodes) + local


def _checked(found: LaunchedRank) -> LaunchedRank:
    if found.world_size is not None and found.rank >= found.world_size:
        raise LaunchError(
            f"{found.variable}={found.rank} cannot be a rank: there are {found.world_size}, counted from 0. refunc "
            "takes this process for one that was not launched. Set REFUNC_RANK to its rank."
        )
    return found


def _number(environ: Mapping[str, str], variable: str) -> int:
    text = environ[variable].strip()
    if not re.fullmatch("[0-9]{1,7}", text):
        raise LaunchError(
            f"{variable}={text[:40]!r} is not a whole number of at least 0. refunc takes this process for one that was "
            "not launched. Set REFUNC_RANK to its rank, or unset the variable."
        )
    return int(text)


def count_in(environ: Mapping[str, str], variable: str) -> int:
    """Return the number in *variable*, 0 if there is none."""
    text = environ.get(variable, "").strip()
    return int(text) if re.fullmatch("[0-9]{1,7}", text) else 0


def step_in(environ: Mapping[str, str]) -> str:
    """Return the number of SLURM's step, "" outside of one that srun has started."""
    step = environ.get("SLURM_STEP_ID") or environ.get("SLURM_STEPID") or ""
    return "" if step.isdecimal() and int(step) >= _NO_STEP else step
