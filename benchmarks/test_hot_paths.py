"""The time of each hot path: `tox -e hot-paths`; with `-- --benchmark-save=before`, then `-- --benchmark-compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hot_paths import HOT_PATHS, HotPath, without_writer


@pytest.mark.parametrize("path", HOT_PATHS.values(), ids=HOT_PATHS)
def test_hot_path(path: HotPath, benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REFUNC_DIR", str(tmp_path))
    without_writer()
    # Fewer calls than a queue takes before the calling thread has to drain it.
    benchmark.pedantic(path.prepare(), rounds=50, iterations=500 // path.records or 1, warmup_rounds=2)
