"""Where paths of users lead: `~` in a setting is the home folder, and a working folder may be gone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.values.paths import absolute, store_path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_tilde_is_the_home_folder_wherever_a_folder_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from refunc.logging import ExperimentTracker, MLLogger, experiment_context
    from refunc.runs import open_store
    from refunc.runs.index.location import cache_folder
    from refunc.runs.store_folder import find_store

    monkeypatch.setenv("REFUNC_DIR", "~/runs")
    monkeypatch.setenv("REFUNC_CACHE", "~/cache")

    logger = MLLogger("train", log_dir="~/logs")
    logger.info("a line")
    logger.flush()
    with experiment_context("e") as run:
        pass
    tracker = ExperimentTracker("e", log_dir="~/others")
    tracker.start_run()
    tracker.end_run()

    assert store_path() == find_store() == open_store().path == home / "runs"
    assert run.folder is not None
    assert run.folder.parent == home / "runs"
    assert tracker.folder is not None
    assert tracker.folder.parent == home / "others"
    assert (home / "logs" / "train.log").is_file()
    assert cache_folder() == home / "cache"
    assert not Path("~").exists()


def test_setup_logging_takes_a_tilde_for_the_home_folder(home: Path, clean_process: None) -> None:
    from refunc.logging import setup_logging

    assert setup_logging(log_dir="~/logs").log_dir == home / "logs"


def test_the_command_line_takes_a_tilde_for_the_home_folder(home: Path) -> None:
    testing = pytest.importorskip("click.testing")
    from refunc_commands.cli.root import refunc

    (home / "runs").mkdir(parents=True)

    assert testing.CliRunner().invoke(refunc, ["--store", "~/runs", "ls"]).exit_code == 0


def test_a_tilde_elsewhere_is_a_character(home: Path, tmp_path: Path) -> None:
    assert absolute("a/~b") == tmp_path / "a" / "~b"
    assert absolute("./~") == tmp_path / "~"


CALLS = {
    "log_metrics": 'log = MLLogger("t"); gone(); log.log_metrics({"a": 1}); log.error("x")',
    "experiment_context": 'gone()\nwith experiment_context("e") as run: run.log_artifact(__file__)',
    "start_experiment": 'log = MLLogger("t"); gone(); log.start_experiment("e", parameters={"lr": 1})',
    "a new logger": 'gone(); MLLogger("t", json_logging=True).info("x")',
    "the default logger": 'import refunc.logging; gone(); refunc.logging.info("x")',
    "setup_logging": 'from refunc.logging import setup_logging; gone(); setup_logging(log_dir="other").info("x")',
}
HEAD = """
import os, shutil
from refunc.logging import MLLogger, experiment_context
os.mkdir("work"); os.chdir("work")
def gone(): os.rmdir(os.getcwd())
"""


@pytest.mark.skipif(os.name == "nt", reason="a working folder cannot be removed there")
@pytest.mark.parametrize("name", CALLS)
def test_where_the_working_folder_is_gone_no_call_raises(name: str, finished: Callable[..., Any]) -> None:
    returned, _, err = finished(CALLS[name], prelude=HEAD)

    assert returned == 0, err
    assert "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="a working folder cannot be removed there")
def test_where_the_working_folder_is_gone_a_store_elsewhere_gets_everything(
    finished: Callable[..., Any], tmp_path: Path, journal: Any
) -> None:
    from refunc.runs import open_store

    code = """
    log = MLLogger("t", log_dir=os.environ["REFUNC_DIR"] + "/logs"); gone()
    for n in range(9): log.log_metrics({"n": n})
    """
    returned, _, err = finished(code, prelude=HEAD, REFUNC_DIR=str(tmp_path / "runs"))

    assert returned == 0, err
    (run,) = open_store(tmp_path / "runs")
    assert run.status == "completed"
    assert journal.values(journal.read(run)[0], "n") == list(range(9))


@pytest.mark.skipif(os.name == "nt", reason="a working folder cannot be removed there")
@pytest.mark.parametrize("name", CALLS)
def test_where_a_working_folder_that_is_gone_stands_first_on_the_path_no_call_raises(
    name: str, finished: Callable[..., Any]
) -> None:
    # `python -c`, not a change of `sys.path`: Python itself remembers the first entry at its start.
    code = f"{HEAD}assert sys.path[0] == ''\n__file__ = os.__file__\n{CALLS[name]}".replace(
        "import os", "import os, sys", 1
    )
    returned, _, err = finished(
        f"os.execv(sys.executable, [sys.executable, '-c', {code!r}])", prelude="import os, sys\n"
    )

    assert returned == 0, err
    assert "Traceback" not in err
