"""The command `refunc import` in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def leaves_nothing(clean_process: None) -> None:
    """Have `clean_process` for every test."""


@pytest.fixture
def imported() -> Callable[..., Any]:
    """Run `refunc import … --json`; the result has `exit_code`, `stderr`, and `said`, what it printed."""
    testing = pytest.importorskip("click.testing")

    def imported(*arguments: object) -> Any:
        from refunc.cli.root import refunc

        options = {"mix_stderr": False} if "mix_stderr" in testing.CliRunner.__init__.__code__.co_varnames else {}
        result = testing.CliRunner(**options).invoke(refunc, ["import", "--json", *map(str, arguments)])
        result.said = json.loads(result.stdout) if result.stdout.startswith("{") else None
        return result

    return imported
