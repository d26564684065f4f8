"""The modules of charts: uPlot is the noted release, and one script of all of them is valid."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files

import pytest

from refunc_commands.charts import MODULES, one_script, part, style

pytestmark = pytest.mark.once


def test_vendored_files_are_those_of_the_package() -> None:
    noted = dict(re.findall(r"^(\S+) +\S+ +([0-9a-f]{64})$", part("VENDORED"), re.MULTILINE))

    assert set(noted) == {"uplot.js", "uplot.css", "UPLOT-LICENSE"}
    for name, digest in noted.items():
        assert hashlib.sha256(files("refunc_commands.charts").joinpath(name).read_bytes()).hexdigest() == digest
    assert "1.6.32" in part("VENDORED")
    assert "(v1.6.32)" in part("uplot.js")
    assert "MIT" in part("UPLOT-LICENSE")


def test_one_script_has_every_module_once_behind_those_it_imports_and_each_name_once() -> None:
    there = {entry.name for entry in files("refunc_commands.charts").iterdir() if entry.name.endswith(".js")}
    assert {*MODULES, "uplot.js"} == there
    for number, name in enumerate(MODULES):
        imported = re.findall(r'from "\./([\w.]+)"', part(name))
        assert set(imported) <= set(MODULES[:number])

    script = one_script()

    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", script, re.MULTILINE)
    assert len(names) == len(set(names)) > 30


def test_nothing_is_loaded_from_elsewhere() -> None:
    for text in (one_script(), style(), part("uplot.js")):
        assert not re.search(r"(?:fetch|XMLHttpRequest|import\()|url\(|@import", text)
