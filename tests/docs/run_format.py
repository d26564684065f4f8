"""The page docs/reference/run-format.md: its blocks of code, and the reader in it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refunc.journal.reader import read_journal

PAGE = (Path(__file__).parents[2] / "docs/reference/run-format.md").read_text("utf-8")

#: Returns the records of a run, and the number of damaged lines.
Reader = Callable[[Path], tuple[list[dict[str, Any]], int]]


def block(needs: str, language: str) -> str:
    """Return the block of the page that is marked as needing this tool."""
    found = re.search(rf"<!-- {needs} -->\n```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found, needs
    return found[1]


def reader() -> Reader:
    """Return the page's reader of a run."""
    code = block("the reader", "python")
    assert len(code.splitlines()) <= 30
    names: dict[str, Any] = {}
    exec(code, names)
    function: Reader = names["read_run"]
    return function


def run_of(script: str, folder: Path, *arguments: str) -> Path:
    subprocess.run([sys.executable, "-c", script, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)
    (run,) = (folder / "experiments").iterdir()
    return run


def what_refunc_reads(run: Path) -> list[tuple[Any, ...]]:
    return [(one.seq, one.time, getattr(one, "metrics", None)) for one in read_journal(run)]


def same(one: Any, other: Any) -> bool:
    """Whether both are equal, NaN being equal to NaN."""
    return repr(one) == repr(other)
