"""Fixtures that the tests of the guarantees share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from refunc.logging import ExperimentTracker, MLLogger

#: Quiet loggers, since no test here is about the console.
PRELUDE = """
import os, random, signal, sys, threading, time
from refunc.logging import MLLogger, experiment_context
log = MLLogger("train", "CRITICAL")
"""


#: Python 3.12 warns of every fork while threads run; refunc's are always there.
WITH_CHILDREN = f"""
import warnings; warnings.filterwarnings("ignore", ".*use of fork.*")
import multiprocessing
{PRELUDE}
"""


@pytest.fixture
def prelude() -> str:
    return PRELUDE


@pytest.fixture
def parent(finished: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    """Run Python code that has children to its end; see `finished`."""
    return partial(finished, prelude=WITH_CHILDREN)


@pytest.fixture
def tracker() -> Iterator[ExperimentTracker]:
    """Give a tracker of a run that is open, with a quiet logger."""
    tracker = ExperimentTracker("e", logger=MLLogger("quiet", "CRITICAL"))
    tracker.start_run()
    yield tracker
    tracker.end_run()
