"""A launch without a launcher: the processes and variables of torchrun, whose parent is the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_OF_LAUNCHERS = ("SLURM", "OMPI", "PMI", "RANK", "LOCAL_", "WORLD_", "MASTER_", "TORCHELASTIC")


def variables(rank: int, ranks: int, **others: str) -> dict[str, str]:
    """Return the environment of a rank."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(_OF_LAUNCHERS)},
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29511",
        "TORCHELASTIC_RUN_ID": "none",
        **others,
    }


def run_ranks(
    folder: Path, script: str, ranks: int = 4, *, delays: Mapping[int, float] | None = None, **others: str
) -> list[subprocess.CompletedProcess[str]]:
    """Run *script* as the ranks of one launch, those of *delays* so many seconds late; return how each has ended."""
    path = folder / "script.py"
    path.write_text(f"import os, time; time.sleep(float(os.environ['DELAY']))\n{script}")
    started = []
    for rank in range(ranks):
        environ = variables(rank, ranks, DELAY=str((delays or {}).get(rank, 0.0)), **others)
        command = [sys.executable, str(path)]
        started.append(
            subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    done = [process.communicate(timeout=100) for process in started]
    return [
        subprocess.CompletedProcess(process.args, process.returncode, out, err)
        for process, (out, err) in zip(started, done, strict=True)
    ]
