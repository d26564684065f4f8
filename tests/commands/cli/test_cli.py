"""`refunc` itself: how it is started, how it fails, and that training scripts do not load it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker

pytestmark = pytest.mark.extras


def refunc(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `python -m refunc` in a process of its own, stdout a pipe."""
    command = [sys.executable, "-m", "refunc", *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, **{"encoding": "utf-8", **options})


def finished_run(name: str = "resnet") -> Path:
    with ExperimentTracker("images", name) as tracker:
        tracker.log_metrics({"loss": 0.5})
    assert tracker.folder is not None
    return tracker.folder


def test_python_m_refunc_says_its_version() -> None:
    result = refunc("--version")

    assert (result.stdout, result.stderr, result.returncode) == ("refunc 2.0.0\n", "", 0)


def test_the_script_is_installed() -> None:
    script = Path(sys.executable).with_name("refunc")

    result = subprocess.run([script, "--version"], capture_output=True, text=True)

    assert result.stdout == "refunc 2.0.0\n"


def test_without_its_distribution_it_says_in_one_line_how_to_get_it() -> None:
    code = """
import runpy, sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name == "refunc_commands":
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, NotInstalled())
runpy.run_module("refunc", run_name="__main__")
"""

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    says = (
        "refunc: the command line is not installed. In a clone of refunc: pip install ./refunc-core ./refunc-commands\n"
    )
    assert (result.stdout, result.stderr, result.returncode) == ("", says, 2)


def test_training_scripts_do_not_load_it() -> None:
    code = (
        "import sys; from refunc.logging import ExperimentTracker, MLLogger; import refunc.runs; MLLogger('x')\n"
        "assert not {'click', 'rich', 'refunc_commands.cli'} & set(sys.modules), sorted(sys.modules)"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["ls"],
        ["show"],
        ["compare"],
        ["plot"],
        ["export"],
        ["sync"],
        ["logs"],
        ["tail"],
        ["import"],
        ["report"],
        ["doctor"],
        ["gc"],
        ["plugins"],
        ["plugins", "new"],
    ],
)
def test_help_has_examples_that_name_the_command(command: list[str], invoke: Any) -> None:
    result = invoke(*command, "--help")

    assert result.exit_code == 0
    assert re.search(rf"Examples:\n *refunc {' '.join(command)}", result.stdout)
    assert invoke(*command, "-h").stdout == result.stdout


# -- failures: exit code 2, one line on stderr, no traceback ----------------------------------------------------------


def failing_line(result: Any) -> str:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("refunc: ")
    assert result.stderr.count("\n") == 1
    return str(result.stderr)


@pytest.mark.parametrize("command", [["ls"], ["ls", "--json"], ["show", "x"]])
def test_no_store(command: list[str], invoke: Any) -> None:
    assert "no folder `experiments`" in failing_line(invoke(*command))


@pytest.mark.parametrize("command", [["--store", "nowhere", "ls"], ["ls", "--store", "nowhere"]])
def test_a_store_that_is_not_there(command: list[str], invoke: Any) -> None:
    assert "nowhere: no such folder" in failing_line(invoke(*command))


def test_refunc_dir_that_is_not_there(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUNC_DIR", "nowhere")

    assert "REFUNC_DIR=nowhere" in failing_line(invoke("ls"))


def test_an_unknown_run_brings_the_nearest_names(invoke: Any) -> None:
    finished_run()

    assert "no run 'resnt'" in failing_line(invoke("show", "resnt"))
    assert "Did you mean resnet?" in failing_line(invoke("show", "resnt"))


def test_an_ambiguous_beginning_brings_the_candidates(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from refunc.logging.active import opening

    ids = iter(["abcd1111", "abcd2222"])
    monkeypatch.setattr(opening, "new_id", lambda: next(ids))
    finished_run("one")
    finished_run("two")

    line = failing_line(invoke("show", "abcd"))

    assert "2 run ids" in line
    assert "abcd1111 (one)" in line


def test_a_run_of_a_newer_format(invoke: Any) -> None:
    folder = finished_run()
    (folder / "run.json").write_text((folder / "run.json").read_text().replace('"format": 1', '"format": 2'))

    for name in (folder.name, folder.name[-8:], str(folder)):
        assert "format 2 is newer than this refunc reads (1)" in failing_line(invoke("show", name))


def test_a_path_to_a_folder_that_is_no_run(tmp_path: Path, invoke: Any) -> None:
    assert "it has no run.json" in failing_line(invoke("show", str(tmp_path)))


def test_a_store_that_cannot_be_read(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faked, because root may read everything."""
    finished_run()

    def denied(path: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("refunc.runs.store.os.scandir", denied)

    assert "experiments: Permission denied" in failing_line(invoke("ls"))


def test_a_name_in_an_error_cannot_act_on_the_terminal(invoke: Any) -> None:
    finished_run()

    line = failing_line(invoke("show", "\x1b[31mred\n\u202e"))

    assert re.search(r"[\x00-\x09\x0b-\x1f\u202e]", line) is None


# -- pipes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["ls"], ["ls", "--json"], ["show", "run-0"], ["plugins"], ["sync", "--json"]])
def test_a_closed_pipe_is_quiet(command: list[str], errors_into_closed_pipe: Callable[[list[str]], str]) -> None:
    for number in range(3):
        finished_run(f"run-{number}")

    assert errors_into_closed_pipe(command) == ""


def test_a_terminal_that_lacks_a_letter_gets_it_spelled_out() -> None:
    finished_run("naïve-模型")

    result = refunc("ls", encoding="latin-1", env={**os.environ, "PYTHONIOENCODING": "latin-1"})

    assert (result.returncode, result.stderr) == (0, "")
    assert "naïve-\\u6a21\\u578b" in result.stdout
