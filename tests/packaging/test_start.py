"""
The cost of starting: the modules that an import and a command load.

Counted and named, never timed: a module costs alike on each machine, and a new import shows at once which one it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from refunc.logging import ExperimentTracker

pytestmark = pytest.mark.once

#: Packages that take as long as a short command, or belong to tasks that it does not do.
HEAVY = {
    *("asyncio", "concurrent.futures", "difflib", "email", "http.client", "logging", "shutil", "socket", "ssl"),
    *("statistics", "subprocess", "tempfile", "multiprocessing"),
    *("cattrs", "colorama", "pluggy", "tqdm", "numpy", "pandas", "pyarrow", "rich.console", "rich.text"),
}
#: Of reading: a list of runs knows all that it shows from the index.
CONTENT = {
    *("refunc.journal.record", "refunc.journal.reader", "refunc.journal.scan", "refunc.runs.ending"),
    *("refunc.runs.gathered", "refunc.runs.read_on", "refunc.runs.query", "refunc.runs.search", "refunc.logging"),
}
READING = {"attrs", "msgspec", "sqlite3", "json", "hashlib", "rich"}

LOADED = """
import json, sys, threading
before = set(sys.modules)
{statement}
loaded = sorted(set(sys.modules) - before)
print("\\n" + json.dumps([loaded, threading.active_count()]))
"""
COMMAND = """
from refunc_commands.cli import main
sys.argv[1:] = {arguments!r}
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


def loaded_by(statement: str) -> set[str]:
    code = LOADED.format(statement=statement)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names, threads = json.loads(answer.splitlines()[-1])
    assert threads == 1
    return set(names)


def ours(loaded: set[str]) -> set[str]:
    return {name for name in loaded if name.partition(".")[0] in ("refunc", "refunc_commands", "refunc_ui")}


def command(*arguments: str) -> str:
    return COMMAND.format(arguments=list(arguments))


@pytest.fixture
def store(tmp_path: Path) -> str:
    for number in range(3):
        with ExperimentTracker("start", f"run{number}", log_dir=tmp_path) as tracker:
            tracker.log_metrics({"loss": 1.0}, step=1)
    subprocess.run([sys.executable, "-m", "refunc", "--store", tmp_path, "ls"], check=True, capture_output=True)
    return str(tmp_path)


def test_the_package_alone_loads_no_other_module() -> None:
    assert loaded_by("import refunc") == {"refunc"}


def test_logging_loads_what_a_training_needs() -> None:
    loaded = loaded_by("import refunc.logging")

    assert not loaded & (HEAVY - {"logging"} | READING - {"json"} | {"click", "inspect", "ast"})
    assert not {name for name in loaded if name.startswith(("refunc.runs", "refunc.plugins", "refunc.annotations"))}
    assert len(ours(loaded)) <= 140


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_the_command_alone_loads_no_command_and_nothing_of_reading(word: str) -> None:
    loaded = loaded_by(command(word))

    # The help asks for the commands of other distributions: `importlib.metadata` reads mails.
    metadata = {"email", "shutil", "socket", "tempfile", "json"} if word == "--help" else set[str]()
    assert not loaded & ((HEAVY | CONTENT | READING) - metadata)
    assert len(ours(loaded)) <= 25


@pytest.fixture(scope="module")
def styled() -> set[str]:
    """Return the modules of text with styles, which all commands print."""
    return loaded_by("import rich.text")


def test_a_plain_list_reads_no_journal_and_loads_nothing_that_could(store: str, styled: set[str]) -> None:
    loaded = loaded_by(command("--store", store, "ls")) - styled

    assert not loaded & (HEAVY | CONTENT)
    assert len(ours(loaded)) <= 90


def test_a_search_of_what_the_index_knows_reads_no_journal_either(store: str, styled: set[str]) -> None:
    question = ("ls", "--where", "metrics.loss < 2", "--sort", "metrics.loss")
    subprocess.run([sys.executable, "-m", "refunc", "--store", store, *question], check=True, capture_output=True)
    loaded = loaded_by(command("--store", store, *question)) - styled

    assert not loaded & (HEAVY | CONTENT - {"refunc.runs.query", "refunc.runs.search"})


@pytest.mark.parametrize("name", ["show", "compare"])
def test_a_command_loads_nothing_of_other_commands(store: str, name: str) -> None:
    arguments = (name, "run0", "run1") if name == "compare" else (name, "run0")
    loaded = loaded_by(command("--store", store, *arguments))

    commands = {f"refunc_commands.cli.{each}" for each in ("ls", "show", "compare", "plot", "report", "logs", "gc")}
    assert loaded & commands == {f"refunc_commands.cli.{name}"}
    assert not loaded & {"asyncio", "http.client", "multiprocessing", "pandas", "pyarrow", "rich.console", "tqdm"}
