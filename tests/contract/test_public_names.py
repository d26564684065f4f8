"""
The public names with their signatures, one line each, in `public_names.txt`; and who imports which modules.

A line that is gone or changed breaks a user's program: it needs a major version. A new line is a promise.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.public_names import MODULES, ROOT, assert_kept, lines_of_module

pytestmark = pytest.mark.once

KEPT = Path(__file__).parent / "public_names.txt"


def test_the_public_names_and_their_signatures_are_those_that_were_promised() -> None:
    assert_kept([line for module in MODULES for line in lines_of_module(module)], KEPT)


@pytest.mark.parametrize("module", MODULES)
def test_a_public_name_is_there_and_has_a_docstring(module: str) -> None:
    loaded = importlib.import_module(module)
    undocumented = {"FROM_ENV", "Delivery", "run"}  # values, which have comments

    assert [name for name in loaded.__all__ if name not in undocumented and not getattr(loaded, name).__doc__] == []


#: Where a plugin or an adapter imports an inner module, and why.
INNER = {
    ("__init__.py", "refunc.frameworks.training"): "what its package exports",
    ("boosting.py", "refunc.frameworks.training"): "a part of the package that exports it",
    ("training.py", "refunc.processes.forks"): "a lock, which a forked child makes again",
    ("rows.py", "refunc_commands.importing.wandb"): "the one reader of W&B's own files, which `refunc import` has too",
}

#: The modules that `refunc.compat` imports beside public ones.
#: It is a part of the core, whose warnings and values are its own.
INNER_OF_COMPAT = {
    "refunc.logging.notices": "its warnings are refunc's, each given once",
    "refunc.runs.packages": "the sentence for an optional package that is missing",
    "refunc.values": "settings are read there alone",
    "refunc.values.names": "the id of a run that is not written",
    "refunc.values.terminal": "what a notebook's cell does when it is run again",
    "refunc.values.texts": "the text of a user's value, which never raises",
}


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and module of each import of refunc in *path*; of `from refunc import x`, `refunc.x`."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = node.module or ""
            names = [f"refunc.{alias.name}" for alias in node.names] if module == "refunc" else [module]
        yield from ((node.lineno, name) for name in names if name.partition(".")[0] == "refunc")  # type: ignore[attr-defined]


def is_public(module: str) -> bool:
    return module in MODULES or (module.startswith("refunc.frameworks.") and module != "refunc.frameworks.training")


@pytest.mark.parametrize(
    "folder",
    [
        *("refunc-mlflow/src", "refunc-wandb/src", "refunc-prometheus/src", "refunc-slack/src"),
        *("refunc-core/src/refunc/frameworks", "docs/examples", "examples"),
    ],
)
def test_plugins_adapters_and_examples_of_this_repository_import_public_modules_only(folder: str) -> None:
    """They can do no more than the plugin of another author can."""
    sources = sorted((ROOT / folder).rglob("*.py"))
    inner = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in sources
        for line, module in imported_modules(path)
        if not is_public(module) and (path.name, module) not in INNER
    ]

    assert sources
    assert inner == []


def test_names_of_other_libraries_stand_on_public_modules_and_on_those_that_are_said() -> None:
    sources = sorted((ROOT / "refunc-core/src/refunc/compat").rglob("*.py"))
    used = {module for path in sources for _, module in imported_modules(path)}

    assert {module for module in used if not is_public(module) and not module.startswith("refunc.compat.")} == set(
        INNER_OF_COMPAT
    )


def test_the_page_of_public_names_has_the_public_modules() -> None:
    page = (ROOT / "docs/reference/public-names.md").read_text("utf-8")

    assert [module for module in MODULES if f"`{module}`" not in page] == []
