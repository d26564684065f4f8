"""
docs/how-to/train-on-a-cluster.md: its script, started by the commands that it shows, is one run each time.

mpirun is the real one. For torchrun, accelerate and srun, a script stands in that sets the variables that they set;
tests/launchers has the real ones.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from refunc.processes.launchers import LAUNCHERS
from refunc.runs import Run, open_store

pytestmark = pytest.mark.once

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to/train-on-a-cluster.md").read_text("utf-8")
COMMANDS = dict(re.findall(r"<!-- run: (\w+) -->\n```sh\n(.*?)```", PAGE, re.DOTALL))
RANKS = 4
#: Starts the rest of its command as ranks, with the variables of the launcher whose name it has.
STAND_IN = """
import os, subprocess, sys
launcher, command = os.path.basename(sys.argv[0]), sys.argv[1:]
size = command[command.index({"srun": "-n", "torchrun": "--nproc-per-node"}.get(launcher, "--num_processes")) + 1]
command = command[command.index("train.py" if launcher != "srun" else "python"):]
if launcher != "srun": command = ["python", *command]
started = []
for rank in map(str, range(int(size))):
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size,
           "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    if launcher == "srun":
        own = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NTASKS": size, "SLURM_STEP_NUM_TASKS": size,
               "SLURM_STEP_ID": "0"}
    started.append(subprocess.Popen(command, env={**os.environ, **own}))
sys.exit(max(process.wait() for process in started))
"""

#: The ranks of a real training wait for each other, and so read a checkpoint before one of them writes the next.
TOGETHER = """
import time
there = Path(f"start {os.environ['START']}")
there.mkdir(exist_ok=True)
(there / str(rank)).touch()
while len(list(there.iterdir())) < int(os.environ["TOGETHER"]): time.sleep(0.01)
"""


@pytest.fixture
def shell(own_folder: Path) -> dict[str, str]:
    """Return the variables of a shell that finds the script of the page, the launchers, and this Python."""
    found = re.search(r"<!-- train.py -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    logger = 'logger = MLLogger("train")\n'
    assert logger in found[1]
    Path("train.py").write_text(found[1].replace(logger, logger + TOGETHER), "utf-8")
    programs = own_folder / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    for name in ("torchrun", "accelerate", "srun"):
        (programs / name).write_text(f"#!{sys.executable}\n{STAND_IN}")
        (programs / name).chmod(0o755)
    # `python` is a link to the tests' own one, whose packages it would not find from here.
    where = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    crowded = {"OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    return {**os.environ, **where, **root, **crowded}


def typed(command: str, shell: dict[str, str], *, start: int = 1, ranks: int = RANKS) -> str:
    """Return the text that *command* shows; *start* is its number."""
    own = {"START": str(start), "TOGETHER": str(ranks)}
    done = subprocess.run(["bash", "-c", command], env=shell | own, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def only_run() -> Run:
    [run] = open_store()
    return run


def test_every_command_is_run_or_says_why_not() -> None:
    assert PAGE.count("```sh\n") == len(COMMANDS) + len(re.findall(r"<!-- not run: [^\n]+ -->\n```sh", PAGE))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("id", "mpirun")])
def test_a_command_makes_one_run_of_four_ranks_and_again_goes_on_with_it(name: str, shell: dict[str, str]) -> None:
    if name == "srun":
        shell |= {"SLURM_JOB_ID": "812"}
    said = typed(COMMANDS[name], {**shell, "CUT_OFF_AT": "25"})
    assert only_run().status == "crashed", said
    assert said.count("epoch 0 is done") == 1

    typed(COMMANDS[name], {**shell, "SLURM_RESTART_COUNT": "1"} if name == "srun" else shell, start=2)

    run = only_run()
    assert (run.attempt, run.ranks, run.status) == (2, [*range(RANKS)], "completed")
    for rank in range(RANKS):
        assert list(run.metrics("loss", rank=rank).steps) == [*range(50)]
        assert set(run.metrics("seconds", rank=rank).values) == {0.1 + rank / 100}


@pytest.mark.extras
def test_mpirun_makes_one_run_of_four_ranks(shell: dict[str, str], require) -> None:
    require(shutil.which("mpirun") is not None, "apt-get install openmpi-bin")

    said = typed(COMMANDS["mpirun"], shell)

    assert said.count("epoch 0 is done") == 1, said
    assert only_run().ranks == [*range(RANKS)]


def test_an_id_makes_two_starts_one_run(shell: dict[str, str]) -> None:
    typed(COMMANDS["id"], {**shell, "CUT_OFF_AT": "5"}, ranks=1)
    typed(COMMANDS["id"], shell, start=2, ranks=1)

    assert (only_run().run_id, only_run().attempt, only_run().status) == ("night-7", 2, "completed")


def test_the_page_of_ranks_has_the_variables_in_the_order_of_the_code() -> None:
    page = (DOCS / "explanation/ranks.md").read_text("utf-8")
    rows = [re.findall(r"`([A-Z_]+)`", row) for row in re.findall(r"^\| (`[A-Z].*?) \|", page, re.MULTILINE)]

    assert rows[0] == ["REFUNC_RANK", "WORLD_SIZE"]
    assert len(rows) == len(LAUNCHERS) + 1
    for row, (_, *variables) in zip(rows[1:], LAUNCHERS, strict=True):
        assert row[0] == variables[0]
        assert {variable for variable in variables if variable} <= set(row)
