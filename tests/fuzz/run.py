"""
Looks for bytes that a target fails at, by coverage: `python tests/fuzz/run.py TARGET [SECONDS]`.

Needs atheris (`pip install atheris`) and refunc. Inputs that are new in coverage go into a folder beside the corpus;
an input that fails is kept in the working folder, and its name printed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

with atheris.instrument_imports(include=["refunc"]):
    from targets import check


def main(name: str, seconds: str = "600") -> None:
    """Fuzz the target *name* for so many seconds."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    found = Path("fuzz-corpus", name)
    found.mkdir(parents=True, exist_ok=True)
    corpus = HERE / "corpus" / name
    options = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=1500", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *options, str(found), str(corpus)], lambda data: check(name, data, folder))
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
