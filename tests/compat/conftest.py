"""A run of `refunc.compat.wandb` in the test's own process, and the run that it leaves in the store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from refunc.runs import Run, open_store


@pytest.fixture
def wandb(own_folder: object, clean_process: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the module, without variables of W&B; the run that a test leaves open is ended."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    import refunc.compat.wandb as module

    yield module
    module.finish()


@pytest.fixture
def stored() -> Callable[[], Run]:
    """Return the only run in the store."""

    def only() -> Run:
        [run] = open_store()
        return run

    return only


@pytest.fixture
def prelude() -> str:
    return "import refunc.compat.wandb as wandb\n"
