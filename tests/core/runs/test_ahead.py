"""Other processes that read ahead change no answer, whatever becomes of them, and leave none of theirs behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import encode_lines
from refunc.runs import Run, Store, open_store, reader_process
from refunc.runs import prefetch as ahead
from refunc.runs import read_on as reading
from refunc.runs.index import database
from refunc.runs.index.contents import load
from refunc.runs.index.file import Index, index_of
from refunc.runs.prefetch import read_ahead

pytestmark = pytest.mark.once

WriteRun = Callable[..., Path]
RUNS = 12
#: Lines that make a script, or the command line, read ahead however few runs there are.
ALWAYS = "from refunc.runs import prefetch as ahead, reader_process\n"
ALWAYS += "reader_process._PATIENCE = 60; ahead._SHARE = 1; ahead.cores = lambda: 2\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFUNC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ahead, "_SHARE", 1)
    monkeypatch.setattr(reader_process, "_PATIENCE", 60)  # a busy machine may take long to begin
    return tmp_path / "cache"


@pytest.fixture
def store(write_run: WriteRun, tmp_path: Path) -> Store:
    """A store of runs among which are one that is empty, one that is damaged, and one with countless holes."""
    odd: dict[int, Callable[[int], list[Any]]] = {
        3: lambda n: [],
        5: lambda n: [*points(n), b"\x00\xff no line of ours\n" * 50, *points(n)],
        7: lambda n: [{**point, "seq": 2 * seq} for seq, point in enumerate(points(n))],
    }
    for number in range(RUNS):
        write_run(f"run{number:02}", odd.get(number, points)(number), run_name=f"run{number:02}")
    return open_store(tmp_path / "experiments")


def points(number: int) -> list[Any]:
    return [{"kind": "metrics", "step": step, "metrics": {"loss": 1 / (1 + step + number)}} for step in range(1_000)]


def answers(runs: Iterator[Run]) -> list[Any]:
    return [(run.folder.name, repr(run.summary), repr(run.metrics())) for run in runs]


def alone(store: Store) -> list[Any]:
    """Return the answers about the runs, read here and without an index."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFUNC_CACHE", "off")
        return answers(iter(store.runs()))


def readers(parent: int | None = None) -> list[int]:
    """Return the ids of the processes that read ahead for *parent*, by default for this one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            is_reader = b"refunc.runs.prefetch" in (entry / "cmdline").read_bytes()
            facts = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if is_reader and facts[0] != "Z" and int(facts[1]) == (parent or os.getpid()):
            found.append(int(entry.name))
    return found


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def soon(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def both(parent: int | None = None) -> list[int]:
    """Return the ids of the two processes that read ahead; one that has just begun has no command line yet."""
    return list(soon(lambda: found if len(found := readers(parent)) == 2 else []))


# -- the same answers -------------------------------------------------------------------------------------------------


def test_what_was_read_ahead_is_what_the_journals_say(store: Store) -> None:
    expected = alone(store)

    with read_ahead(store.runs(), 2) as runs:
        both()
        assert answers(runs) == expected

    assert readers() == []
    assert answers(iter(store.runs())) == expected


def test_the_caller_reads_no_journal_that_was_read_ahead(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    segments = reading.segments
    monkeypatch.setattr(reading, "segments", lambda folder: read.append(folder.name) or segments(folder))  # type: ignore[func-returns-value]

    with read_ahead(store.runs(), 2) as runs:
        answers(runs)

    assert read == ["run07"]  # which no index keeps


def test_finding_with_and_without(store: Store) -> None:
    names = [run.run_name for run in store.find("metrics.loss.count == 1000", order_by="metrics.loss.max", processes=2)]

    assert len(names) == RUNS - 2
    assert names == [run.run_name for run in store.find("metrics.loss.count == 1000", order_by="metrics.loss.max")]


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_an_export_with_and_without(format: str, store: Store, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("click")
    expected, found = tmp_path / f"expected.{format}", tmp_path / f"found.{format}"
    command = ["--store", str(store.path), "export", "-o"]

    subprocess.run([sys.executable, "-m", "refunc", *command, str(expected)], check=True)
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    run_refunc(*command, str(found)).communicate(timeout=60)

    assert found.read_bytes() == expected.read_bytes()


def run_refunc(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command line that reads ahead."""
    script = ALWAYS + "from refunc_commands.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", script, *arguments], **options)


# -- when there is none -----------------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The processes that are started from here on."""
    found: list[Any] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **options: found.append(given) or popen(*given, **options))  # type: ignore[func-returns-value]
    return found


def test_what_is_known_is_not_read_ahead(store: Store, started: list[Any]) -> None:
    with read_ahead(store.runs(), 2) as runs:
        expected = answers(runs)
    assert len(started) == 2

    with read_ahead([run for run in store.runs() if run.run_name != "run07"], 2) as runs:
        assert len(answers(runs)) == len(expected) - 1
    assert len(started) == 2


def test_a_few_runs_are_read_here(store: Store, started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with read_ahead(store.runs(), 2) as runs:
        assert len(list(runs)) == RUNS

    monkeypatch.setattr(ahead, "_SHARE", 1)
    with read_ahead(store.runs()[:1], 2) as runs:
        assert len(list(runs)) == 1

    assert started == []


def test_of_no_runs_there_is_none() -> None:
    with read_ahead([], 2) as runs:
        assert list(runs) == []


def test_a_reading_library_starts_none(store: Store, started: list[Any]) -> None:
    assert len(store.to_rows()) == RUNS
    assert len(store.find("status == 'crashed'")) == RUNS
    assert started == []


def off(cache: Path, store: Store, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("REFUNC_CACHE", "off")


def blocked(cache: Path, store: Store, patch: pytest.MonkeyPatch) -> None:
    cache.write_text("no folder")


def read_only(cache: Path, store: Store, patch: pytest.MonkeyPatch) -> None:
    connect = Index.connect

    def connect_read_only(index: Any) -> Any:  # modes would not keep root from writing
        connection = connect(index)
        connection.execute("PRAGMA query_only = 1")
        return connection

    patch.setattr(Index, "connect", connect_read_only)


def locked(cache: Path, store: Store, patch: pytest.MonkeyPatch) -> Any:
    patch.setattr(database, "_PATIENCE", 0.01)
    holder = index_of(store.runs()[0].folder).connect()  # type: ignore[union-attr]
    holder.execute("BEGIN IMMEDIATE")
    return holder


@pytest.mark.parametrize("obstacle", [off, blocked, read_only, locked])
def test_where_the_index_cannot_be_written_nobody_reads_ahead(
    obstacle: Callable[[Path, Store, pytest.MonkeyPatch], Any],
    store: Store,
    cache: Path,
    started: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = alone(store)
    held = obstacle(cache, store, monkeypatch)

    with read_ahead(store.runs(), 2) as runs:
        assert answers(runs) == expected

    assert started == []
    if held is not None:
        held.close()


@pytest.mark.parametrize("program", ["/nonexistent", "/bin/false", ""])
def test_where_no_process_can_be_started(program: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = alone(store)
    monkeypatch.setattr(sys, "executable", program)
    monkeypatch.setenv("PATH", "/nonexistent")

    with read_ahead(store.runs(), 2) as runs:
        assert answers(runs) == expected


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("after", [0, 1, 4])
def test_readers_that_are_killed_are_done_without(count: int, after: int, store: Store) -> None:
    expected = alone(store)

    with read_ahead(store.runs(), 2) as runs:
        found = [next(runs) for _ in range(after)]
        for pid in both()[:count]:
            os.kill(pid, signal.SIGKILL)
        assert answers(iter([*found, *runs])) == expected

    assert answers(iter(store.runs())) == expected


def test_one_that_is_killed_in_the_middle_of_a_run(write_run: WriteRun, tmp_path: Path) -> None:
    names = [f"metric{number}" for number in range(20)]
    rows = [
        {"seq": seq, "time": 1.0 + seq, "kind": "metrics", "step": seq, "metrics": dict.fromkeys(names, seq / 7)}
        for seq in range(100_000)  # twice as many values as go into the index at once
    ]
    data = encode_lines(rows)
    for number in range(4):  # each is in the middle for some tenths of a second
        with open(write_run(f"run{number}") / "journal" / "main.000000.jsonl", "ab") as file:
            file.write(data)
    store = open_store(tmp_path / "experiments")

    def is_in_the_middle() -> bool:
        known = [load(index_of(run.folder), run.folder) for run in store.runs()]  # type: ignore[arg-type]
        return any(content is not None and not content.is_whole for content in known)

    with read_ahead(store.runs(), 2) as runs:
        soon(is_in_the_middle, 60)
        for pid in both():
            os.kill(pid, signal.SIGKILL)
        found = [run.metrics("metric7") for run in runs]

    assert [list(series.steps) for series in found] == [list(range(100_000))] * 4


def test_who_leaves_early_leaves_no_process(store: Store) -> None:
    pids: list[int] = []

    def leave() -> None:
        with read_ahead(store.runs(), 2) as runs:
            next(runs)
            pids.extend(both())
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        leave()

    assert all(map(is_gone, pids))


HOLDS = (
    ALWAYS
    + """
import sys
from refunc.runs import open_store
from refunc.runs.prefetch import read_ahead
with read_ahead(open_store(sys.argv[1]).runs(), 2) as runs:
    print("reads", flush=True)
    sys.stdin.read()
"""
)


def test_readers_end_when_their_parent_is_killed(store: Store) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(store.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdout.readline() == b"reads\n"
    pids = both(process.pid)

    process.kill()
    process.communicate()

    soon(lambda: all(map(is_gone, pids)))


def test_ctrl_c_at_the_terminal_ends_all_at_once(store: Store, tmp_path: Path, tools: Any) -> None:
    pytest.importorskip("click")
    pty = pytest.importorskip("pty")
    slow = "import time; from refunc.runs import points_file as points; once = points._texts\n"
    slow += "points._texts = lambda run, series: time.sleep(5) or once(run, series)\n"
    script = ALWAYS + slow + "from refunc_commands.cli import main; main()"
    command = [sys.executable, "-c", script, "--store", str(store.path), "export", "-o", str(tmp_path / "all.csv")]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    pids = both(pid)
    soon(lambda: list(tmp_path.glob(".all.csv.*")))

    os.write(terminal, b"\x03")

    said = tools.shown_on(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert b"Traceback" not in said
    assert all(map(is_gone, pids))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "experiments"]


def test_a_script_is_not_run_again(store: Store, tmp_path: Path) -> None:
    """As it would be by a process that `multiprocessing` starts, where a script has no `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    script.write_text(
        ALWAYS
        + textwrap.dedent("""\
            import sys
            from refunc.runs import open_store
            print("here")
            print(len(open_store(sys.argv[1]).find("status == 'crashed'", processes=2)))
            """)
    )

    done = subprocess.run([sys.executable, str(script), str(store.path)], capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr) == (f"here\n{RUNS}\n", "")


def test_a_module_beside_a_script_is_not_taken_for_another(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "sqlite3", "refunc", "msgspec"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    expected = alone(store)
    known: list[bool] = []

    with read_ahead(store.runs(), 2) as runs:
        for run in runs:
            content = load(index_of(run.folder), run.folder)  # type: ignore[arg-type]
            known.append(content is not None)

    assert known.count(True) == RUNS - 1
    assert answers(iter(store.runs())) == expected
