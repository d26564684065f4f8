"""A run to annotate."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make the folder of a run without records."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text('{"format": 1, "run_id": "k3f9a2b7"}')
    return tmp_path / "run"
