"""Each package has in its docstring a line on the purpose of each module: the map that a newcomer reads."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    path.parent
    for source in ROOT.glob("refunc-*/src")
    for path in source.rglob("__init__.py")
    if "template" not in path.parts
)


def modules_in(package: Path) -> set[str]:
    files = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    return files | {path.parent.name for path in package.glob("*/__init__.py")}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_module_stands_in_the_map_of_its_package_once(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8"))) or ""
    listed = re.findall(r"^    (\w+)  +\S", docstring, re.M)

    assert sorted(listed) == sorted(modules_in(package))


def test_there_are_packages() -> None:
    assert len(PACKAGES) > 20


def test_no_module_looks_for_another_of_refunc_by_its_name_among_the_loaded_ones() -> None:
    """Import-linter cannot see such an edge, and a rename would cut it without an error."""
    sources = [path for source in ROOT.glob("refunc-*/src") for path in source.rglob("*.py")]
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sources
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"sys\.modules|\bloaded\(|\bfind_spec\(", line) and re.search(r"[\"']refunc[._]\w", line)
    ]

    assert found == []


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_the_paths_on_the_first_pages_exist(page: str) -> None:
    named = set(re.findall(r"`([\w-]+(?:/[\w-]+)*(?:\.py|/))`", (ROOT / page).read_text("utf-8")))
    places = [ROOT, *(package for source in ROOT.glob("refunc-*/src") for package in [source, *source.iterdir()])]

    assert named
    assert sorted(name for name in named if not any((place / name).exists() for place in places)) == []
