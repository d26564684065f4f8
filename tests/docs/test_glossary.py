"""docs/reference/glossary.md defines each term once, in alphabetical order, and the first pages link to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/glossary.md").read_text("utf-8")
ENTRIES = re.findall(r"^\*\*([^*\n]+)\*\*:\n(.+)\n", PAGE, re.MULTILINE)
TERMS = [term for term, _ in ENTRIES]


def test_every_term_is_defined_once_and_in_alphabetical_order() -> None:
    assert sorted(set(TERMS)) == TERMS
    assert len(TERMS) >= 25


def test_every_paragraph_behind_the_introduction_is_an_entry() -> None:
    """Otherwise a misspelt entry would be missing from the order that is checked."""
    paragraphs = PAGE.split("\n\n")[2:]

    assert len(paragraphs) == len(ENTRIES)


def test_a_meaning_takes_one_or_two_sentences() -> None:
    assert [term for term, meaning in ENTRIES if not meaning.endswith(".") or meaning.count(". ") > 1] == []


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/index.md"])
def test_the_first_pages_link_to_it(page: str) -> None:
    assert re.search(r"\]\([\w/]*glossary\.md\)", (ROOT / page).read_text("utf-8"))
