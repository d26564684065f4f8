"""The test kit: a plugin that keeps its contract passes, and each of thirty that break it in one place is caught."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.plugins.mutants import MUTANTS

#: The checks of thirty plugins take 5 s on an idle machine, and half a minute beside fourteen other processes.
pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

FILE = Path(__file__).with_name("mutants.py")


def _outcomes(*names: str) -> dict[str, str]:
    """Run checks of `mutants.py` by their names and return the outcome of each."""
    command = [sys.executable, "-m", "pytest", "-rA", "-q", "--tb=no", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(f"{FILE}::{name}" for name in names)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {
        found[2]: found[1]
        for found in re.finditer(r"^(PASSED|FAILED|SKIPPED|ERROR) \S+?::(.*?)(?: - .*)?$", done.stdout, re.M)
    }


def test_a_plugin_that_keeps_its_contract_passes_every_check() -> None:
    outcomes = _outcomes("TestWhole")

    assert len(outcomes) > 40
    assert set(outcomes.values()) == {"PASSED"}, {name: each for name, each in outcomes.items() if each != "PASSED"}


def test_each_mutant_is_caught_by_the_check_that_is_meant_for_it() -> None:
    wanted = [f"Test{mutant.__name__}::{check}" for mutant, check in MUTANTS.items()]

    outcomes = _outcomes(*wanted)

    assert len(MUTANTS) >= 30
    assert {name: outcomes.get(name) for name in wanted if outcomes.get(name) != "FAILED"} == {}
