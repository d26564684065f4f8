"""
Which sentence of the reference a test holds: each says so in its docstring, and every name that the blocks use is held.

Code between backticks is quoted from `blocks/` byte for byte, but for the white space; prose stands in double quotes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(path for path in HERE.glob("test_claims_*.py") if path != Path(__file__))
#: Names in the blocks that are not refunc's: the user's own functions and variables, and the standard library.
NOT_OURS = {
    *("train_step", "validate", "validate_model", "save_model", "risky_operation", "train_model", "print", "range"),
    *("getenv", "dataclass", "field", "default_factory", "dict", "list"),
}
#: Words of a quotation of prose; a longer one copies the reference.
LONGEST = 16

pytestmark = pytest.mark.once


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


BLOCKS = squeezed("\n".join(path.read_text("utf-8") for path in sorted(HERE.glob("blocks/*"))))


def docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each test's name and docstring."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name, ast.get_docstring(node) or ""


def rows(path: Path) -> Iterator[str]:
    """Yield the quotations that stand in tables: texts that are one piece of code."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^`([^`]+)`$", node.value)


def code_in(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def quoted() -> list[tuple[str, str]]:
    """Return every piece of code that is quoted, with the file it stands in."""
    found = [(path.name, code) for path in FILES for _, text in docstrings(path) for code in code_in(text)]
    return found + [(path.name, code) for path in FILES for code in rows(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_test_says_which_sentence_it_holds(path: Path) -> None:
    silent = [name for name, text in docstrings(path) if not code_in(text) and '"' not in text]

    assert silent == []


def test_quoted_code_is_the_references_own() -> None:
    """Or a name of it, such as that of a parameter."""
    foreign = [(name, code) for name, code in quoted() if squeezed(code) not in BLOCKS]

    assert foreign == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_quoted_prose_is_short(path: Path) -> None:
    for name, text in docstrings(path):
        prose = re.findall(r'"([^"]+)"', re.sub(r"`[^`]+`", "", text))
        assert [each for each in prose if len(each.split()) > LONGEST] == [], name


def names_of_the_blocks() -> set[str]:
    """Return the names in the blocks: imports from refunc, calls, keywords, and declared fields and parameters."""
    found: set[str] = set()
    for path in HERE.glob("blocks/*.py"):
        text = path.read_text("utf-8").rstrip()
        for node in ast.walk(ast.parse(text + ": ..." if text.endswith(")") and "def __init__" in text else text)):
            if isinstance(node, ast.ImportFrom):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Call):
                found |= {keyword.arg for keyword in node.keywords if keyword.arg}
                found.add(node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
    return found - NOT_OURS - {"self"}


def test_every_name_of_the_reference_is_held_by_a_claim() -> None:
    held = {word for _, code in quoted() for word in re.findall(r"\w+", code)}

    assert sorted(names_of_the_blocks() - held) == []
