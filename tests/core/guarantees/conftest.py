"""What the tests of the guarantees share."""

from __future__ import annotations

import pytest

#: Quiet loggers, since no test here is about the console.
PRELUDE = """
import os, random, signal, sys, threading, time
from refunc.logging import MLLogger, experiment_context
log = MLLogger("train", "CRITICAL")
"""


@pytest.fixture
def prelude() -> str:
    return PRELUDE
