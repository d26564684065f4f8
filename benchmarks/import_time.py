"""
What `import refunc.logging` costs over a bare interpreter, side by side with stdlib logging, in one run.

    python benchmarks/import_time.py [ROUNDS]

Rounds are interleaved, and the minimum counts: on a shared machine the rest is other people's work. The first round
only fills the byte-code caches.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

CASES = {
    "pass": "pass",
    "import logging": "import logging",
    "import refunc.logging": "import refunc.logging",
    "… and a run with one metric": "from refunc.logging import MLLogger; MLLogger('x').log_metrics({'loss': 1.0})",
}


def start(code: str, folder: str) -> float:
    """Return how long an interpreter that runs *code* takes, in milliseconds."""
    environment = {**os.environ, "REFUNC_DIR": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, stderr=subprocess.DEVNULL, cwd=folder)
    return (time.perf_counter() - began) * 1000


def main(rounds: int) -> None:
    import tempfile

    times: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, code in CASES.items():
                taken = start(code, folder)
                if number:
                    times[name].append(taken)
    bare = min(times["pass"])
    print(f"Python {sys.version.split()[0]}, {rounds} rounds; milliseconds over `pass` ({bare:.1f})")
    for name, taken in times.items():
        print(f"{name:32} min {min(taken) - bare:6.1f}   median {statistics.median(taken) - bare:6.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
