"""
The documentation is true where it can be run: each page's Python blocks run in order, in a fresh process and folder.

A comment before a block exempts it: `<!-- needs: polars -->` (test_run_format_queries.py runs it), or
`<!-- not run: why -->`. A file that a page says to save is no such block: test_pages_by_hand.py runs it.
tests/frameworks runs the pages in docs/how-to/frameworks.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.pages import DOCS, OF_FRAMEWORKS, ROOT, page_name, run_page, script_of

import refunc.logging

pytestmark = pytest.mark.once

PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if script_of(page) and page not in OF_FRAMEWORKS], ids=page_name
)
def test_examples_of_a_page_run(page: Path, own_folder: Path) -> None:
    said = run_page(page, own_folder)

    # An uncaught exception of a thread or a child, or a warning; a logged line is indented or has a time before it.
    assert not re.search(r"^(Traceback|--- Logging error|\S+:\d+: \w*Warning: )", said, re.MULTILINE), said


def names_used(page: Path) -> set[str]:
    """Return the names of refunc.logging that the examples of *page* use."""
    used: set[str] = set()
    aliases = {"refunc.logging"}
    for node in ast.walk(ast.parse(script_of(page))):
        if isinstance(node, ast.ImportFrom) and node.module == "refunc.logging":
            used.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            aliases.update(alias.asname for alias in node.names if alias.name == "refunc.logging" and alias.asname)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in aliases:
            used.add(node.attr)
    return used


def test_every_public_name_is_used_in_an_example() -> None:
    used = set().union(*map(names_used, PAGES))

    assert set(refunc.logging.__all__) - used == set()


def test_every_public_name_has_an_entry_in_the_reference() -> None:
    """A heading, or the first cell of a table's row."""
    entries = "".join(
        line
        for page in (DOCS / "reference").glob("*.md")
        for line in re.findall(r"^#+ .*|^\| [^|]*\|", page.read_text("utf-8"), re.MULTILINE)
    )

    assert [name for name in refunc.logging.__all__ if not re.search(rf"`{name}\b", entries)] == []


def test_every_environment_variable_is_documented() -> None:
    page = (DOCS / "reference/configuration.md").read_text("utf-8")
    named = {
        name
        for part in ("refunc-core", "refunc-commands")
        for source in (ROOT / part / "src").rglob("*.py")
        for name in re.findall(r"\bREFUNC_[A-Z_]+\b", source.read_text("utf-8"))
    }

    assert {name for name in named if f"`{name}" not in page} == set()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)]+)\)", page.read_text("utf-8"))

    assert [target for target in targets if broken(page, target)] == []


def broken(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return True
    if not anchor:
        return False
    headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
    return anchor not in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_a_line_holds_one_sentence() -> None:
    """So that a change of one sentence is a change of one line."""
    found = [
        f"{page_name(page)}: {line}"
        for page in PAGES
        for line in re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL).splitlines()
        if not line.startswith(("|", "<!--")) and re.search(r"[a-z`)][.?!] [A-Z`]", line)
    ]

    assert found == []


@pytest.mark.parametrize(
    "name", ["MLLogger", "ExperimentTracker", "ProgressTracker", "EpochTracker", "AsyncHandler", "BufferedHandler"]
)
def test_every_public_method_is_used_in_an_example(name: str) -> None:
    """By its name after a dot: examples are scripts, and the type of a variable is not known without running them."""
    scripts = [ast.parse(script_of(page)) for page in PAGES]
    used = {node.attr for script in scripts for node in ast.walk(script) if isinstance(node, ast.Attribute)}
    own = {
        method
        for cls in getattr(refunc.logging, name).__mro__
        if cls.__module__.startswith("refunc.")
        for method in vars(cls)
        if not method.startswith("_") and hasattr(cls, method)
    }

    assert own - used - INSIDE == set()


#: Public for other parts of refunc, or the stdlib's own method.
INSIDE = {
    "adopt",
    "give_back",
    "replace_target",
    "all_targets",
    "createLock",
    "emit",
    "pass_on",
    "flush_targets",
    "abandon",
    "say",
}
INSIDE |= {"after_fork_in_child", "refunc_shows"}
