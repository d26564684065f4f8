"""docs/explanation/decisions.md gives each decision a heading, and the reason in a few sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.once

PAGE = (Path(__file__).parents[2] / "docs/explanation/decisions.md").read_text("utf-8")


def test_a_decision_takes_two_to_five_sentences() -> None:
    sections = [section.split("\n") for section in PAGE.split("\n## ")[1:]]

    counts = {heading: sum(1 for line in lines if line) for heading, *lines in sections}
    assert {heading: count for heading, count in counts.items() if not 2 <= count <= 5} == {}
    assert len(counts) == len(sections)
