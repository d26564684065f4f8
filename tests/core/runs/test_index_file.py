"""The file of the index: where it lies, and that whatever happens to it, the journals are read instead."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import encode_line
from refunc.runs import Run, open_store
from refunc.runs.index import database
from refunc.runs.index.contents import load
from refunc.runs.index.file import index_of
from refunc.runs.index.location import index_path
from refunc.runs.prefetch import read_ahead

WriteRun = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("cache")


# -- the file ---------------------------------------------------------------------------------------------------------


def test_it_lies_outside_of_the_store_one_file_each(write_run: WriteRun, cache: Path, indexing: Any) -> None:
    folder = write_run("run", indexing.metrics(1, 2))
    before = sorted(str(path) for path in folder.parent.rglob("*"))

    indexing.check(folder)

    assert sorted(str(path) for path in folder.parent.rglob("*")) == before
    assert [path.suffix for path in cache.iterdir()] == [".sqlite"]
    assert cache.stat().st_mode & 0o777 == 0o700


def values(run: Run) -> dict[str, list[float]]:
    return {name: list(series.values) for name, series in run.metrics().items()}


def test_runs_that_are_read_in_turn_open_it_once_in_a_thread(
    write_run: WriteRun, indexing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [write_run(f"run{number}", indexing.metrics(1, 2)) for number in range(4)]
    plain = [values(Run.open(folder)) for folder in folders]
    opened: list[int] = []
    connect = database.Database.connect

    def counted(index: Any) -> sqlite3.Connection:
        opened.append(threading.get_ident())
        return connect(index)

    monkeypatch.setattr(database.Database, "connect", counted)

    with read_ahead([Run.open(folder) for folder in folders]) as runs:
        assert [values(run) for run in runs] == plain
        assert opened == [threading.get_ident()]
        with ThreadPoolExecutor(1) as other:  # SQLite's connections are each for one thread
            assert other.submit(lambda: values(Run.open(folders[0]))).result() == plain[0]
        assert {*opened} > {threading.get_ident()}
    known = len(opened)
    assert values(Run.open(folders[0])) == plain[0]
    assert len(opened) > known


def damage_nothing(path: Path) -> None:
    path.write_bytes(b"")


def damage_head(path: Path) -> None:
    path.write_bytes(b"this is no database" + path.read_bytes()[19:])


def damage_all(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes(len(data) - 100))


def damage_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(16_384, len(data), 64):
        data[at] ^= 0xFF
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:16_384])


def other_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()


def other_tables(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DROP TABLE run")
    connection.close()


def other_contents(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE run SET head = x'c1'")
    connection.close()


def fewer_rows(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM blob")
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        *(Path.unlink, damage_nothing, damage_head, damage_all, damage_middle, truncate),
        *(other_version, other_tables, other_contents, fewer_rows),
    ],
)
def test_a_file_that_is_damaged_or_of_another_version_is_made_anew(
    damage: Callable[[Path], None], write_run: WriteRun, cache: Path, indexing: Any
) -> None:
    folder = write_run("run", indexing.metrics(*range(3_000)))
    indexing.check(folder)
    (path,) = cache.iterdir()
    damage(path)

    run = Run.open(folder)

    assert list(run.metrics("loss").steps) == list(range(3_000))
    assert run.summary.metrics["loss"].count == 3_000
    assert list(Run.open(folder).metrics("loss").steps) == list(range(3_000))
    if damage is not fewer_rows:
        assert indexing.is_indexed(folder)


def blocked_by_a_file(cache: Path, folder: Path) -> None:
    cache.write_text("no folder")


def read_only(cache: Path, folder: Path) -> None:
    cache.mkdir()
    path = index_path(folder.parent)
    assert path is not None
    path.mkdir()


@pytest.mark.parametrize("obstacle", [blocked_by_a_file, read_only])
def test_where_no_file_can_be_the_journals_are_read(
    obstacle: Callable[[Path, Path], None], write_run: WriteRun, cache: Path, indexing: Any
) -> None:
    folder = write_run("run", indexing.metrics(1, 2))
    obstacle(cache, folder)

    indexing.check(folder)
    assert not indexing.is_indexed(folder)


@pytest.mark.parametrize("word", ["off", "OFF", "0"])
def test_it_can_be_switched_off(word: str, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch, indexing: Any) -> None:
    monkeypatch.setenv("REFUNC_CACHE", word)
    monkeypatch.setattr(sqlite3, "connect", lambda *arguments, **options: pytest.fail("a file was opened"))

    assert list(Run.open(write_run("run", indexing.metrics(1, 2))).metrics("loss").steps) == [1, 2]


def test_where_it_is_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REFUNC_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert index_path(tmp_path).parent == tmp_path / ".cache" / "refunc"  # type: ignore[union-attr]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert index_path(tmp_path).parent == tmp_path / "xdg" / "refunc"  # type: ignore[union-attr]


def test_a_locked_file_is_not_waited_for_long(
    write_run: WriteRun, cache: Path, monkeypatch: pytest.MonkeyPatch, indexing: Any
) -> None:
    folder = write_run("run", indexing.metrics(1, 2))
    indexing.check(folder)
    monkeypatch.setattr(database, "_PATIENCE", 0.05)
    holder = sqlite3.connect(next(iter(cache.iterdir())), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with open(folder / "journal" / "main.000000.jsonl", "ab") as file:
        file.write(encode_line({"seq": 2, "time": 1.0, "kind": "metrics", "metrics": {"loss": 7}}))

    assert list(Run.open(folder).metrics("loss").values)[-1] == 7

    holder.execute("ROLLBACK")
    holder.close()
    indexing.check(folder)


def test_a_full_disk_is_no_error(write_run: WriteRun, cache: Path, indexing: Any) -> None:
    folder = write_run("run", indexing.metrics(*range(20_000)))
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "from pathlib import Path; from refunc.runs import Run\n"
        "print(len(Run.open(Path(sys.argv[1])).metrics('loss')))"
    )

    # -B: byte code would be a file, too, and Python up to 3.11 leaves a part of it for all that come after.
    command = [sys.executable, "-B", "-c", script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr) == ("20000\n", "")
    indexing.check(folder)


# -- several processes ------------------------------------------------------------------------------------------------

READS = """
import json, sys
from pathlib import Path
from refunc.runs import open_store; from refunc.runs import read_on as reading
reading._FULL = 500
import refunc.journal.scan
refunc.journal.scan._BLOCK_BYTES = 5_000
print("begins", flush=True)
sys.stdin.readline()
for run in open_store(sys.argv[1]):
    for name, series in run.metrics().items():
        print(json.dumps([run.run_name, name, len(series), sum(series.steps)]), flush=True)
"""


def start_reading(store: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", READS, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "begins\n"
    return process


def test_processes_that_index_at_once_all_get_the_same(write_run: WriteRun, tmp_path: Path, indexing: Any) -> None:
    folders = [write_run(f"run{n}", indexing.metrics(*range(3_000))) for n in range(4)]
    processes = [start_reading(tmp_path / "experiments") for _ in range(3)]

    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in processes]

    expected = [[f"run{n}", "loss", 3_000, sum(range(3_000))] for n in range(4)]
    assert [sorted(map(json.loads, output)) for output in outputs] == [expected] * 3
    for folder in folders:
        indexing.check(folder)


@pytest.mark.once
@pytest.mark.parametrize("parts", [1, 3, 6])
def test_a_process_that_is_killed_while_it_indexes_leaves_no_wrong_answer(
    parts: int, write_run: WriteRun, tmp_path: Path, cache: Path, indexing: Any
) -> None:
    folder = write_run("run", indexing.metrics(*range(60_000)))
    process = start_reading(tmp_path / "experiments")
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()

    def rows() -> int:
        known = load(index_of(folder), folder)  # type: ignore[arg-type]
        return (
            sum(group.stored for writer in known.writers.values() for group in writer.columns.groups.values())
            if known
            else 0
        )

    while process.poll() is None and rows() < parts * 1_000:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()

    indexing.check(folder)
    assert list(open_store(tmp_path / "experiments")["run"].metrics("loss").steps) == list(range(60_000))


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
@pytest.mark.parametrize("shared", [0o1777, 0o777, 0o775, 0o700])
def test_a_cache_is_one_users_whatever_the_umask_and_the_folder(
    shared: int, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, indexing: Any
) -> None:
    (cache := tmp_path / "cache").mkdir()
    cache.chmod(shared)
    monkeypatch.setenv("REFUNC_CACHE", str(cache))
    before = os.umask(0)
    try:
        steps = list(Run.open(write_run("run", indexing.metrics(1, 2))).metrics("loss").steps)
    finally:
        os.umask(before)

    files = [path for path in cache.rglob("*") if path.is_file()]
    assert (steps, len(files) > 0) == ([1, 2], True)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.parent.stat().st_mode & 0o777 for path in files} == {0o700}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files to others")
@pytest.mark.parametrize("poison", ["a folder of another user", "a link", "a pipe"])
def test_an_index_that_another_user_has_put_there_is_not_read(
    poison: str, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, indexing: Any
) -> None:
    (cache := tmp_path / "cache").mkdir(mode=0o700)
    (tmp_path / "precious").write_text("precious")
    monkeypatch.setenv("REFUNC_CACHE", str(cache))
    folder = write_run("run", indexing.metrics(1, 2))
    path = index_path(folder.parent)
    assert path is not None
    if poison == "a folder of another user":
        cache.chmod(0o1777)
        (cache / "user-0").mkdir()
        os.chown(cache / "user-0", 65_534, 65_534)
    elif poison == "a link":
        path.symlink_to(tmp_path / "precious")
    else:
        os.mkfifo(path)

    assert list(Run.open(folder).metrics("loss").steps) == [1, 2]
    assert (tmp_path / "precious").read_text() == "precious"
    assert list((cache / "user-0").glob("*")) == []
