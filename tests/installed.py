"""Which packages a piece of code needs, and which of them are not installed here."""

from __future__ import annotations

import ast
import importlib.util


def imports_of(code: str) -> set[str]:
    """Return the packages that *code* imports when it is loaded."""
    found: set[str] = set()
    for node in ast.parse(code).body:
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def missing_in(code: str) -> list[str]:
    return sorted(name for name in imports_of(code) if importlib.util.find_spec(name) is None)
