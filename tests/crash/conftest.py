"""
How often: each test has a short form for every CI run and a long one, `tox -e crash`.

A random choice has a seed, which a failure shows; `CRASH_SEED` repeats it.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable

import pytest

PRELUDE = """
import warnings; warnings.filterwarnings("ignore", ".*use of fork.*")
import faulthandler, logging, os, random, resource, signal, sys, threading, time
sys.path.insert(0, os.getcwd())  # where `probes` lies
from refunc.logging import MLLogger, experiment_context
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
log = MLLogger("train", "CRITICAL")
logging.getLogger("refunc").setLevel("CRITICAL")
"""

IS_LONG = os.environ.get("CRASH_FORM") == "long"


@pytest.fixture
def prelude() -> str:
    """Put before every script: quiet loggers, no dumps of memory, and children forked while threads run."""
    return PRELUDE


@pytest.fixture(scope="session")
def times() -> Callable[[float, float], int]:
    """Return how often, or how long, something is done: `times(200, 5_000)`; at `CRASH_SCALE` times that."""

    def times(short: float, long: float) -> int:
        return max(1, int((long if IS_LONG else short) * float(os.environ.get("CRASH_SCALE", "1"))))

    return times


@pytest.fixture
def chance() -> random.Random:
    """Return a source of chance. Its seed is printed, which pytest shows where the test fails."""
    seed = int(os.environ.get("CRASH_SEED") or random.randrange(1 << 32))
    print(f"repeat with CRASH_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def shown() -> Callable[..., str]:
    """Return a function that runs a command and returns its output, of both streams."""
    from click.testing import CliRunner

    from refunc_commands.cli.root import refunc

    def show(*arguments: str) -> str:
        result = CliRunner().invoke(refunc, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.output

    return show


@pytest.fixture
def is_harmless() -> Callable[..., bool]:
    """Whether a text is letters and newlines; with the colours that refunc itself puts there, if it is *colored*."""

    def is_harmless(text: str, *, colored: bool = False) -> bool:
        if colored:
            text = re.sub(r"\x1b\[[0-9;]*m", "", text)
        return all(each.isprintable() or each in "\n\t" for each in text)

    return is_harmless
