"""A database of MLflow and the files beside it: read whole, and left as it was."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.commands.importing.crafted import RUN, database

from refunc.runs import open_store

pytestmark = pytest.mark.extras


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("is_open", [True, False])
def test_a_database_in_wal_mode_is_read_whole_and_left_alone(
    own_folder: Path, imported: Callable[..., Any], is_open: bool
) -> None:
    path = database(own_folder)
    training = sqlite3.connect(path)
    training.execute("pragma journal_mode = wal")
    training.executescript(RUN.format("newest"))
    if not is_open:
        training.close()
    before = contents(own_folder)

    result = imported(path)

    assert contents(own_folder) == before
    assert (len(before) > 1) is is_open
    training.close()
    assert (result.exit_code, {run.run_name for run in open_store()}) == (0, {"good", "bad", "newest"})


def test_a_change_that_was_interrupted_is_undone_in_a_copy_only(own_folder: Path, imported: Callable[..., Any]) -> None:
    path = database(own_folder)
    training = sqlite3.connect(path, isolation_level=None)
    training.executescript(
        "pragma cache_size = 1; begin; delete from metrics;" + "insert into tags values(1, zeroblob(9999), 1);" * 9
    )
    interrupted = contents(own_folder)
    training.close()
    for name, data in interrupted.items():
        (own_folder / name).write_bytes(data)
    assert "mlflow.db-journal" in interrupted

    result = imported(path)

    assert contents(own_folder) == interrupted
    assert (result.exit_code, result.said["read"]["points"]) == (0, 2)


def test_a_journal_that_names_another_file_removes_nothing(own_folder: Path, imported: Callable[..., Any]) -> None:
    path = database(own_folder)
    victim = own_folder / "victim"
    victim.write_text("precious")
    name = str(victim).encode()
    tail = name + struct.pack(">II", len(name), sum(name)) + bytes.fromhex("d9d505f920a163d7")
    (own_folder / "mlflow.db-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(504) + tail)

    result = imported(path)

    assert result.exit_code == 2
    assert "a change of several databases was interrupted" in result.stderr
    assert victim.read_text() == "precious"
