"""The fixture that every test of importing has; `imported` stands in `tests/conftest.py`."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def leaves_nothing(clean_process: None) -> None:
    """Have `clean_process` for every test."""
