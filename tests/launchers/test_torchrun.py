"""torchrun, with real processes and gloo: ranks, the workers of their DataLoaders, restarts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.launchers.reading import Launched, Records, all_runs, only_run

ITEMS = 32
#: gloo does not find the others in the store that torchrun keeps for all of its restarts.
STORE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


@pytest.fixture(autouse=True)
def torchrun(needs: Callable[..., None]) -> None:
    needs("torch", "numpy")


@pytest.mark.parametrize(("method", "ranks", "epochs"), [("fork", 4, 2), ("spawn", 2, 1)])
def test_ranks_and_their_workers_are_one_run(
    method: str, ranks: int, epochs: int, launched: Launched, script: Callable[[str], Path]
) -> None:
    done = launched("torchrun", "--nproc-per-node", ranks, script("train_ddp.py"), method, epochs)

    run, steps, each = only_run(), epochs * ITEMS // ranks // 4, range(ranks)
    assert (run.status, run.attempt, run.ranks) == ("completed", 1, list(each))
    assert run.params == {"lr": 0.1, "ranks": ranks}
    records = Records(run)
    own = {writer for writer, *_ in records.points("loss")}
    assert [writer.rank for writer in run.writers if writer.name in own] == list(each)
    workers = [writer.rank for writer in run.writers if writer.name not in own]
    assert workers == [rank for rank in each for _ in range(2 * epochs)], "each rank has two workers an epoch"

    assert len(run.metrics("loss")) == steps
    assert len(run.metrics("loss", rank="all")) == ranks * steps
    assert list(run.metrics("weight", rank="min").values) == list(run.metrics("weight", rank="max").values), "it is DDP"
    assert sum(records.points("loaded").values()) == epochs * ITEMS
    assert {step for _, step, _ in records.points("loaded")} == set(range(epochs * ITEMS))
    said = {f"item {item} of epoch {epoch}" for item in range(ITEMS) for epoch in range(epochs)}
    said |= {f"epoch {epoch} of rank {rank} is over" for rank in each for epoch in range(epochs)}
    assert {text: count for text, count in records.lines.items() if text in said} == dict.fromkeys(said, 1)

    assert [done.err.count(f"epoch 0 of rank {rank} is over") for rank in each] == [1, *[0] * (ranks - 1)]
    assert done.err.count("item ") == epochs * ITEMS // ranks, "those of rank 0's workers"
    [warning] = [line for line in done.err.splitlines() if f"rank {ranks - 1} is the last" in line]
    assert f"[rank {ranks - 1}] " in warning
    assert done.err.count("started: ") == 1


def test_restarts_go_on_at_the_checkpoint(launched: Launched, script: Callable[[str], Path]) -> None:
    launched("torchrun", "--nproc-per-node", 4, "--max-restarts", 3, script("train_restarted.py"), 7, 13, **STORE)

    run = only_run()
    assert (run.status, run.attempt, run.ranks) == ("completed", 3, [0, 1, 2, 3])
    for rank in range(4):
        attempt = run.metrics("attempt", rank=rank)
        assert list(attempt.steps) == list(range(20))
        assert list(attempt.values) == [0.0] * 5 + [1.0] * 5 + [2.0] * 10
        assert list(run.metrics("weight", rank=rank).values) == [6.0 * step for step in range(1, 21)]
    assert len(run.metrics("attempt", attempts="all")) > 20


def test_a_second_start_with_the_same_rendezvous_id_is_a_run_of_its_own(
    launched: Launched, script: Callable[[str], Path], tools: Any
) -> None:
    """Also from its first restart on, and although the run of the first start has been left as it was."""
    # Without an id of its own, torchrun takes a free port by itself.
    place = ("--rdzv-id", "100", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{tools.free_port()}")
    torchrun = ("torchrun", "--nproc-per-node", 2, *place)
    launched(*torchrun, script("die_at_first.py"), 1, fails=True)
    launched(*torchrun, "--max-restarts", 1, script("die_at_first.py"), 1)

    first, second = all_runs()
    assert (first.status, first.attempt) == ("crashed", 1)
    assert (second.status, second.attempt) == ("completed", 2)
    assert list(second.metrics("attempt").values) == [0.0, 1.0]
