"""Which rank a process is and which launch it belongs to, told by the variables that launchers really set."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from refunc.processes.launch import Launch, launch_in
from refunc.processes.launchers import LaunchError

#: The variables of each launcher for rank 1 of 4, from a run here or its documents, but for those of no use to refunc.
TORCHRUN = {
    "RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "GROUP_RANK": "0",
    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "41231", "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_RESTART_COUNT": "0", "TORCHELASTIC_MAX_RESTARTS": "3",
    "TORCHELASTIC_ERROR_FILE": "/scratch/torchelastic_k2/none_8x/attempt_0/1/error.json",
}  # fmt: skip
SRUN = {
    "SLURM_JOB_ID": "812", "SLURM_STEP_ID": "0", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4", "SLURM_CLUSTER_NAME": "c",
}  # fmt: skip
MPIRUN = {
    "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "4", "PMIX_NAMESPACE": "prterun-node7-4711@1", "PMIX_RANK": "1",
}  # fmt: skip
LIGHTNING = {
    "LOCAL_RANK": "1", "NODE_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "node6", "MASTER_PORT": "12910",
}  # fmt: skip
JSRUN = {"JSM_NAMESPACE_RANK": "1", "JSM_NAMESPACE_SIZE": "4", "JSM_NAMESPACE_LOCAL_RANK": "1"}


SUBMITIT = {
    "SUBMITIT_LOCAL_GLOBALID": "1", "SUBMITIT_LOCAL_LOCALID": "1", "SUBMITIT_LOCAL_NTASKS": "4",
    "SUBMITIT_LOCAL_JOB_ID": "1",
}  # fmt: skip


def found_in(environ: Mapping[str, str]) -> Launch:
    found = launch_in(environ)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("environ", "launcher", "rank", "local_rank"),
    [
        (TORCHRUN, "torchrun", 1, 1),
        (SRUN, "srun", 1, 1),
        (MPIRUN, "mpirun", 1, 1),
        ({**MPIRUN, "SLURM_JOB_ID": "812", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, "mpirun", 1, 1),
        ({**SRUN, **TORCHRUN}, "torchrun", 1, 1),
        (LIGHTNING, "Lightning", 3, 1),
        (JSRUN, "jsrun", 1, 1),
        (SUBMITIT, "submitit", 1, 1),
        ({**SUBMITIT, **SRUN}, "srun", 1, 1),
        ({**TORCHRUN, "REFUNC_RANK": "2"}, "REFUNC_RANK", 2, None),
    ],
)
def test_each_launcher_tells_the_rank(environ: dict[str, str], launcher: str, rank: int, local_rank: int) -> None:
    found = found_in(environ)
    assert (found.launcher, found.rank, found.world_size, found.local_rank) == (launcher, rank, 4, local_rank)


@pytest.mark.parametrize("environ", [{}, {"SLURM_PROCID": "0"}, {"WORLD_SIZE": "4", "MASTER_ADDR": "x"}])
def test_without_a_launcher_there_is_no_launch(environ: dict[str, str]) -> None:
    assert launch_in(environ) is None


@pytest.mark.parametrize("environ", [TORCHRUN, SRUN, MPIRUN, {**SRUN, **TORCHRUN}, {**TORCHRUN, "REFUNC_RUN_ID": "a"}])
def test_all_ranks_of_a_start_compute_the_same_names(environ: dict[str, str]) -> None:
    places = []
    for rank in map(str, range(4)):
        variables = dict.fromkeys(("RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_LOCALID", "OMPI_COMM_WORLD_RANK",
                                   "OMPI_COMM_WORLD_LOCAL_RANK", "PMIX_RANK"), rank)  # fmt: skip
        ranked = {name: variables.get(name, value) for name, value in environ.items()}
        error = environ.get("TORCHELASTIC_ERROR_FILE", "").replace("/1/", f"/{rank}/")
        places.append(found_in({**ranked, "TORCHELASTIC_ERROR_FILE": error} if error else ranked))

    assert [place.rank for place in places] == [0, 1, 2, 3]
    assert len({place.key for place in places}) == len({place.start for place in places}) == 1


@pytest.mark.parametrize(
    ("environ", "again"),
    [
        (TORCHRUN, {"TORCHELASTIC_RESTART_COUNT": "1", "MASTER_PORT": "41931",
                    "TORCHELASTIC_ERROR_FILE": "/scratch/torchelastic_k2/none_8x/attempt_1/1/error.json"}),
        (SRUN, {"SLURM_RESTART_COUNT": "1"}),
        ({**SRUN, **TORCHRUN}, {"SLURM_RESTART_COUNT": "2", "MASTER_PORT": "9",
                                "TORCHELASTIC_ERROR_FILE": "/scratch/torchelastic_zz/none_q1/attempt_0/1/error.json"}),
        ({**TORCHRUN, "TORCHELASTIC_RUN_ID": "job7"}, {"TORCHELASTIC_RESTART_COUNT": "1"}),
    ],
)  # fmt: skip
def test_a_restart_keeps_the_launch_and_is_another_start(environ: dict[str, str], again: dict[str, str]) -> None:
    first, second = found_in(environ), found_in({**environ, **again})
    assert first.key == second.key
    assert first.start != second.start
    assert first.restarts < second.restarts


def test_torchrun_without_an_id_is_known_by_its_own_folder() -> None:
    """Restarts keep the folder; a wrapper's shell may be the parent of each rank, and the port may change."""
    known = {**TORCHRUN, "MASTER_PORT": "1"}
    again = {
        **known, "TORCHELASTIC_RESTART_COUNT": "1",
        "TORCHELASTIC_ERROR_FILE": "/scratch/torchelastic_k2/none_8x/attempt_1/1/error.json",
    }  # fmt: skip
    other = {**known, "TORCHELASTIC_ERROR_FILE": "/scratch/torchelastic_q9/none_1z/attempt_0/1/error.json"}
    assert found_in(known).key == found_in(again).key
    assert found_in(known).key != found_in(other).key


def test_hosts_without_a_common_parent_are_told_by_the_rendezvous() -> None:
    here = {**TORCHRUN, "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "node6"}
    there = {
        **here,
        "RANK": "3",
        "TORCHELASTIC_ERROR_FILE": "/scratch/torchelastic_o/none_h/attempt_0/1/error.json",
    }
    assert found_in(here).key == found_in(there).key
    assert found_in(here).start == found_in(there).start


def test_tasks_of_an_array_and_other_steps_are_launches_of_their_own() -> None:
    keys = {found_in({**SRUN, **other}).key for other in ({}, {"SLURM_JOB_ID": "813"}, {"SLURM_STEP_ID": "1"})}
    assert len(keys) == 3


def test_a_batch_script_is_rank_0_of_one_and_comes_again_after_a_requeue() -> None:
    batch = {"SLURM_JOB_ID": "812", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}
    first, again = found_in(batch), found_in({**batch, "SLURM_RESTART_COUNT": "1"})
    assert (first.rank, first.world_size, first.key) == (0, 1, again.key)
    assert first.start != again.start


@pytest.mark.parametrize("number", ["4294967290", "4294967291", "4294967294"])
def test_a_number_of_slurms_own_is_no_step(number: str) -> None:
    """The shell of `salloc` has one, and its PROCID; https://slurm.schedmd.com/srun.html knows steps from 0 on."""
    shell = {"SLURM_JOB_ID": "812", "SLURM_PROCID": "0", "SLURM_STEP_ID": number, "SLURM_STEP_NUM_TASKS": "1"}
    assert found_in(shell).launcher == ""
    assert found_in(shell).key == found_in({"SLURM_JOB_ID": "812"}).key


def test_jobs_of_submitit_are_told_by_their_controllers() -> None:
    """Whether a task is its child or a grandchild, as a command that the job function starts."""
    own, other = found_in(SUBMITIT), found_in({**SUBMITIT, "SUBMITIT_LOCAL_JOB_ID": "2"})
    assert own.key != other.key
    assert own.key == found_in({**SUBMITIT, "SUBMITIT_LOCAL_GLOBALID": "3"}).key


@pytest.mark.parametrize("variables", [{}, {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}])
def test_two_starts_of_a_script_in_one_job_are_two_starts(variables: dict[str, str]) -> None:
    command = [sys.executable, "-c", "from refunc.processes.launch import launch; print(launch())"]
    said = [
        subprocess.run(command, env={"SLURM_JOB_ID": "812", "SLURM_PROCID": "0", **variables,
                       "PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]  # fmt: skip
    assert said[0] != said[1]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RANK": "one"}, "RANK='one'"),
        ({"RANK": "-1"}, "RANK='-1'"),
        ({"RANK": "4"}, "RANK=4 cannot be a rank: there are 4"),
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE='many'"),
        ({"REFUNC_RANK": "1.5"}, "REFUNC_RANK='1.5'"),
        ({"REFUNC_RUN_ID": "../up"}, "REFUNC_RUN_ID='../up'"),
    ],
)
def test_a_value_that_no_launcher_sets_is_named(variables: dict[str, str], said: str) -> None:
    with pytest.raises(LaunchError) as found:
        launch_in({**TORCHRUN, **variables})
    assert said in str(found.value)


def test_a_program_that_makes_its_children_ranks_is_told_from_workers_of_a_rank(own_folder: Path) -> None:
    script = """
import multiprocessing, os, sys
def child(rank):
    if rank is not None: os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="1")
    from refunc.processes.launch import launch
    found = launch()
    print(found and (found.rank, found.key), flush=True)
if __name__ == "__main__":
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        for rank in (0, 1, None):
            process = context.Process(target=child, args=(rank,))
            process.start(); process.join()
"""
    environ = {"PYTHONPATH": ":".join(sys.path)}
    said = []
    for name, ranks, variables in (("made", "(0, 1, None)", {}), ("workers", "(None,)", TORCHRUN)):
        path = own_folder / f"{name}.py"
        path.write_text(script.replace("(0, 1, None)", ranks))
        command = [sys.executable, str(path)]
        done = subprocess.run(command, env={**environ, **variables}, capture_output=True, text=True, check=True)
        said.append(done.stdout.splitlines())
    made, workers = said

    assert [line.split(",")[0].strip("(") for line in made] == ["0", "1", "None"] * 2
    assert len({line.split(",")[1] for line in made if line != "None"}) == 1
    assert workers == ["None", "None"]
