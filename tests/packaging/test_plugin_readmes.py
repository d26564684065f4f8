"""The plugins' README files, which are also their pages on an index: they list the options of the classes."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from refunc.plugins.discovery import FIRST_PARTY
from refunc.plugins.options import facts_of

pytestmark = pytest.mark.parametrize(("class_name", "key"), FIRST_PARTY.items(), ids=FIRST_PARTY.values())


def readme_of(root: Path, key: str) -> str:
    return (root / f"refunc-{key}" / "README.md").read_text("utf-8")


def table_of(readme: str) -> list[list[str]]:
    """Return the cells of the table below the heading `Options`, its head left out."""
    section = readme.partition("\n## Options\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert rows[:2] == ["| option | variable | default | meaning |", "| --- | --- | --- | --- |"]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def default_in(cell: str) -> Any:
    return attrs.NOTHING if cell == "required" else ast.literal_eval(cell.strip("`"))


def test_the_table_names_the_options_of_the_class(root: Path, class_name: str, key: str) -> None:
    """In the order of the class, each with its environment variable and its default; secrets are called so."""
    kind = getattr(importlib.import_module(f"refunc_{key}"), class_name)
    options = [(field.name, facts) for field in attrs.fields(kind) if (facts := facts_of(field)) is not None]
    expected = [
        (name, facts.env or "", attrs.NOTHING if facts.required else facts.default, facts.secret)
        for name, facts in options
    ]

    found = [
        (name.strip("`"), variable.strip("`"), default_in(default), "secret" in meaning)
        for name, variable, default, meaning in table_of(readme_of(root, key))
    ]

    assert found == expected


def test_the_examples_compile_and_import_what_there_is(root: Path, class_name: str, key: str) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", readme_of(root, key), re.MULTILINE | re.DOTALL)

    assert blocks
    for block in blocks:
        compile(block, f"refunc-{key}/README.md", "exec")
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_class_is_named_and_links_lead_somewhere(root: Path, class_name: str, key: str) -> None:
    readme = readme_of(root, key)
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", readme)

    assert class_name in readme
    assert targets
    assert [target for target in targets if not (root / f"refunc-{key}" / target).is_file()] == []


def test_the_installation_is_by_path(root: Path, class_name: str, key: str) -> None:
    """The name `refunc` on the public index is another project's."""
    commands = re.findall(r"pip install ([^`\n]+)", readme_of(root, key))

    assert f"./refunc-core ./refunc-commands ./refunc-{key}" in commands
    assert [command for command in commands if re.search(r"(?<![/\w.-])refunc", command)] == []


def test_a_line_holds_one_sentence(root: Path, class_name: str, key: str) -> None:
    prose = re.sub(r"^```.*?^```", "", readme_of(root, key), flags=re.MULTILINE | re.DOTALL)

    assert [line for line in prose.splitlines() if line[:1] != "|" and re.search(r"[a-z`)][.?!] [A-Z`]", line)] == []
