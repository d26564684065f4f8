"""The folder of log files: git ignores `./logs` if refunc made it, and any other folder is left as it is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from refunc.logging import MLLogger

_Script = Callable[..., tuple[int, str, str]]


def _files(folder: str = "logs") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_git_ignores_the_usual_folder(require: Callable[[bool, str], None]) -> None:
    require(shutil.which("git") is not None, "apt-get install git")
    subprocess.run(["git", "init", "-q"], check=True)
    MLLogger("train", "CRITICAL", json_logging=True).critical("line")

    assert _files() == [".gitignore", "train.jsonl", "train.log"]
    assert subprocess.check_output(["git", "status", "--porcelain"], text=True) == ""


def test_a_folder_that_is_there_is_the_users() -> None:
    Path("logs").mkdir()
    MLLogger("train", "CRITICAL").critical("line")

    assert _files() == ["train.log"]


def test_a_folder_that_the_user_names_is_the_users_and_so_are_those_above(tmp_path: Path) -> None:
    """They may keep results there that are to be committed."""
    for folder in ("results", "experiments/logs", tmp_path / "else" / "where"):
        MLLogger("train", "CRITICAL", log_dir=folder).critical("line")

    assert not [*tmp_path.rglob(".gitignore")]


def test_the_usual_folder_may_be_named() -> None:
    """Only a path counts: a logger that is sent to another process names it too."""
    MLLogger("train", "CRITICAL", log_dir="./logs").critical("line")

    assert _files() == [".gitignore", "train.log"]


def test_a_file_that_the_user_removed_stays_away() -> None:
    first = MLLogger("train", "CRITICAL")
    first.critical("line")
    Path("logs/.gitignore").unlink()
    first.critical("line")
    MLLogger("other", "CRITICAL").critical("line")

    assert _files() == ["other.log", "train.log"]


def test_many_processes_that_begin_at_once(finished: _Script) -> None:
    returned, _, err = finished(
        """
        import multiprocessing

        def work(number):
            together.wait(20)
            log = MLLogger(f"train{number}", "CRITICAL")
            log.critical("line")
            log.flush()

        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            together = context.Barrier(8)
            children = [context.Process(target=work, args=(number,)) for number in range(8)]
            for child in children: child.start()
            for child in children: child.join()
        """,
        prelude="from refunc.logging import MLLogger\n",
    )

    assert returned == 0, err
    assert _files() == [".gitignore", *(f"train{number}.log" for number in range(8))]
    assert Path("logs/.gitignore").read_text() == "*\n"


@pytest.mark.usefixtures("own_folder")
def test_a_disk_that_refuses_costs_no_line(finished: _Script) -> None:
    returned, _, err = finished(
        """
        import resource
        from refunc.logging import MLLogger

        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
        log = MLLogger("train", "CRITICAL")
        log.critical("line 0")
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        log.critical("line 1")
        """,
        prelude="",
    )

    assert returned == 0, err
    assert Path("logs/train.log").read_text().count("line ") == 2
