"""Runs of several ranks and attempts, written by hand, so that tests know each record and no process has to start."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from refunc.journal.codec import encode_line

RUN_ID = "kkkkkkkk"
START = 1_795_440_000.0
#: The steps of each attempt; the second goes back to step 9.
STEPS = (range(15), range(10, 20))


def writer(rank: int, attempt: int) -> str:
    return f"node{rank // 2}-{100 + rank}-{attempt}aaaaaaa-bbbb_r{rank}" + (f"a{attempt}" if attempt > 1 else "")


def ranked(
    store: str | Path = "experiments",
    *,
    ranks: int = 4,
    attempts: int = 2,
    only: Iterable[int] | None = None,
    name: str = f"vision_{RUN_ID}",
    start: float = START,
    **birth: Any,
) -> Path:
    """
    Write a run and return its folder.

    In each attempt each rank logs `loss`, which is 100 · attempt + rank, at each step, and one line; rank 3 warns. Only
    the last attempt has ended.

    Args:
        only: The ranks whose files are in this folder.
        start: The time of its start, in seconds since 1970.
    """
    folder = Path(store) / name
    for part in ("journal", "ranks"):
        (folder / part).mkdir(parents=True)
    facts = {"format": 1, "run_id": RUN_ID, "run_name": "resnet", "start_time": start}
    facts |= {"experiment_id": "vision", "experiment_name": "vision"}
    launch = {"launcher": "torchrun", "key": "k" * 24, "run": 1}
    (folder / "run.json").write_text(json.dumps({**facts, "launch": launch, **birth}))
    for rank in range(ranks) if only is None else only:
        for attempt in range(1, attempts + 1):
            part = {"attempt": attempt, "rank": rank, "world_size": ranks, "launcher": "torchrun", "key": "k" * 24}
            part |= {
                "start": f"s{attempt}",
                "host": f"node{rank // 2}",
                "pid": 100 + rank,
                "restarts": [0, attempt - 1],
            }
            part |= {
                "time": start + 1000 * (attempt - 1) + rank,
                "opened_by": {"pid": 1, "boot": "another", "device": 1},
            }
            (folder / "ranks" / f"{attempt}.{rank}.json").write_text(json.dumps(part))
            lines = records(rank, attempt, start, is_last=attempt == attempts)
            name = f"{writer(rank, attempt)}.000000.jsonl"
            (folder / "journal" / name).write_bytes(b"".join(map(encode_line, lines)))
    return folder


def records(rank: int, attempt: int, began: float, *, is_last: bool) -> list[dict[str, Any]]:
    head = {"kind": "segment", "format": 1, "logger": "train", "run": RUN_ID, "host": f"node{rank // 2}", "rank": rank}
    start = {"kind": "start", "run_id": RUN_ID, "run_name": "resnet", "attempt": attempt}
    found = [start, *([{"kind": "rewind", "step": 9, "attempt": attempt}] if attempt > 1 else [])]
    found += [
        {"kind": "metrics", "metrics": {"loss": float(100 * attempt + rank)}, "step": step}
        for step in STEPS[min(attempt, 2) - 1]
    ]
    found.append({"kind": "log", "level": "INFO", "message": f"line of rank {rank} in attempt {attempt}"})
    if rank == 3:
        found.append({"kind": "log", "level": "WARNING", "message": "careful"})
    if is_last:
        found.append({"kind": "end", "status": "completed", "duration": 60.0, "metrics": {}})
    first = began + 1000 * (attempt - 1) + 0.01 * rank
    return [head, *({"seq": seq, "time": first + seq, **record} for seq, record in enumerate(found))]
