"""A search finds what people gave a run later, though it is answered from the catalogue of the index."""

from __future__ import annotations

from pathlib import Path

import pytest

from refunc.annotations import annotate
from refunc.logging import ExperimentTracker, MLLogger
from refunc.runs import open_store

pytestmark = pytest.mark.once


def test_a_search_follows_each_change(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with ExperimentTracker("digits", name, tmp_path, logger=MLLogger("quiet", "ERROR")) as run:
            run.add_tags({"team": "vision"})
    store = open_store(tmp_path)

    def found(expression: str) -> list[str]:
        return [run.run_name for run in store.find(expression, allow_missing=True)]

    assert (found("tags.best == 'yes'"), found("tags.team == 'vision'")) == ([], ["one", "two"])
    annotate(store["one"], tags={"best": "yes", "team": None})
    assert (found("tags.best == 'yes'"), found("tags.team == 'vision'")) == (["one"], ["two"])
    annotate(store["two"], name="second", tags={"best": "no"})
    assert (found("tags.best is missing"), found("run_name == 'second'")) == ([], ["second"])
    annotate(store["one"], tags={"best": None})
    assert found("tags.best is missing") == ["one"]
