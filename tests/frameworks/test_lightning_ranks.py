"""examples/frameworks/train_lightning.py on two processes: those that Lightning starts, and then those of torchrun."""

from __future__ import annotations

import sys
from pathlib import Path

import lightning
import pytest
from tests.frameworks.stored import only_run
from tests.launchers.conftest import DEADLINE, Launcher, environment

pytestmark = pytest.mark.frameworks

EXAMPLE = Path(__file__).parents[2] / "examples/frameworks/train_lightning.py"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
assert lightning.__version__, "the example needs it"


def run_example(folder: Path, *arguments: str, launcher: tuple[str, ...] = ()) -> str:
    command = [sys.executable, *launcher, str(EXAMPLE), "--devices", "2", *arguments]
    started = Launcher(command, environment(), folder, 0)
    try:
        done = started.finished()
    finally:
        started.kill_all()
    assert done.returncode == 0, done.err
    return done.err


@pytest.mark.timeout(2 * DEADLINE)
def test_all_ranks_are_one_run_that_a_later_launch_goes_on_with(own_folder: Path) -> None:
    said = run_example(own_folder, "--epochs", "2")
    run = only_run()
    assert (run.run_name, run.status, run.attempt) == ("line", "completed", 2)
    assert run.params == {"lr": 0.1}
    assert list(run.metrics("train/loss_step").steps) == [3, 7, 11, 15], "each rank has half of 16 batches an epoch"
    assert [said.count(f"run line {what}") for what in ("started", "goes on")] == [1, 1]
    assert Path("experiments/regression/line/checkpoints/last.ckpt").exists()

    said = run_example(own_folder, "--epochs", "3", "--resume", launcher=TORCHRUN)
    run = only_run()
    assert (run.status, run.attempt) == ("completed", 4)
    assert list(run.metrics("train/loss_epoch").x) == [0, 1, 2]
    assert [said.count(f"run line {what}") for what in ("started", "goes on")] == [0, 2]
