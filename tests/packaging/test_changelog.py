"""News fragments have the form that `scriv collect` puts into the changelog at a release; wheels rehearses that."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["scriv"]
FRAGMENTS = [path for path in sorted((ROOT / "changelog.d").glob("*.md")) if path.name != "README.md"]


def sections_of(text: str) -> dict[str, list[str]]:
    """Return the bullets of a fragment by heading; anything else raises ValueError."""
    sections: dict[str, list[str]] = {}
    heading = None
    for line in text.splitlines():
        if found := re.fullmatch(r"### (\w+)", line):
            heading = found[1]
            sections[heading] = []
        elif line.startswith("- ") and heading and len(line) > 10:
            sections[heading].append(line[2:])
        elif line:
            raise ValueError(f"neither a heading nor a bullet: {line}")
    return sections


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_has_bullets_under_headings_that_are_known(path: Path) -> None:
    sections = sections_of(path.read_text("utf-8"))

    assert sections
    assert set(sections) <= set(SETTINGS["categories"])
    assert all(sections.values())


@pytest.mark.parametrize(
    "text", ["- without a heading, but long", "### Added\n\ntext that is not a bullet", "### Added\n- …"]
)
def test_other_forms_are_told(text: str) -> None:
    with pytest.raises(ValueError, match="neither a heading nor a bullet"):
        sections_of(text)


def test_the_template_offers_every_category() -> None:
    template = (ROOT / "changelog.d" / SETTINGS["new_fragment_template"].removeprefix("file: ")).read_text("utf-8")

    assert "config.categories" in template


def test_the_changelog_has_the_place_for_the_next_entry() -> None:
    assert (ROOT / SETTINGS["changelog"]).read_text("utf-8").count("<!-- scriv-insert-here -->") == 1
