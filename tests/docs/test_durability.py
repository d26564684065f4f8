"""The pages that promise name a test for each promise, and there is that test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("page_name", "least"), [("durability", 16), ("bounds", 6)])
def test_every_promise_is_held_by_a_test_that_there_is(page_name: str, least: int) -> None:
    page = (ROOT / f"docs/explanation/{page_name}.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| ---"))]
    assert len(rows) >= least

    missing = []
    for row in rows:
        found = re.search(r"`(tests/[\w/]+\.py)::(\w+)` \|$", row)
        if found is None:
            missing.append(row)
            continue
        path, name = ROOT / found[1], found[2]
        if not path.exists() or not re.search(rf"^(async )?def {name}\(", path.read_text("utf-8"), re.M):
            missing.append(found[0])
    assert missing == []
