"""The page of environment variables agrees with the code about each."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from refunc.delivery.patience import EXIT_WAIT
from refunc.delivery.process import LINGER
from refunc.values.paths import DEFAULT_STORE
from refunc.values.settings import SETTINGS, Setting

pytestmark = pytest.mark.once
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "configuration.md").read_text("utf-8")
#: The rows of tables, by the variable in the first column.
ROWS = {name: row.strip("|").split(" | ") for row, name in re.findall(r"^(\| `(REFUNC_\w+)` \|.*\|)$", PAGE, re.M)}


def test_every_variable_has_a_row() -> None:
    assert list(ROWS) == list(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_row_says_the_meaning_the_default_the_words_and_when_it_is_read(setting: Setting) -> None:
    _, meaning, read = ROWS[setting.name]
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", meaning)

    assert setting.meaning in plain
    if setting.default:
        assert f"default `{setting.default}`" in plain
    words = setting.allowed().split(", ") if setting.kind in ("switch", "choice") else setting.words
    assert [word for word in words if f"`{word}`" not in meaning] == []
    assert read.strip() == setting.read


def test_the_defaults_are_those_of_the_code() -> None:
    assert SETTINGS["REFUNC_DIR"].default == DEFAULT_STORE
    assert float(SETTINGS["REFUNC_EXIT_WAIT"].default) == EXIT_WAIT
    assert float(SETTINGS["REFUNC_DELIVERY_LINGER"].default) == LINGER


def test_no_other_module_has_a_variable_of_refunc_of_its_own() -> None:
    root = Path(__file__).parents[2]
    sources = [path for source in root.glob("refunc-*/src") for path in source.rglob("*.py")]
    found = [
        f"{path.relative_to(root)}: {node.value}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch("REFUNC_[A-Z_]+", node.value)
        if path.name != "settings.py"
    ]

    assert found == []
