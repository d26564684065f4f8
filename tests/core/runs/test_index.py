"""The index gives the same answers as the journals, whatever happens to either, and is never missed."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refunc.journal.codec import encode_line
from refunc.runs import Run, index, open_store, parts, reading
from refunc.runs.columns import _float
from refunc.runs.content import Content
from refunc.runs.index import index_of, index_path
from refunc.runs.reading import read_content

WriteRun = Callable[..., Path]
HEADER = encode_line({"kind": "segment", "format": 1, "logger": "hand"})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFUNC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def line(kind: str, seq: int, time: float = 1.0, **fields: Any) -> bytes:
    return encode_line({"seq": seq, "time": time, "kind": kind, **fields})


def answers(content: Content) -> dict[str, Any]:
    """Return all that *content* says, such that it can be compared; means to a few digits less."""
    summary = content.summary
    metrics = {}
    for name, metric in summary.metrics.items():
        mean = metric.mean if metric.mean is None or not math.isfinite(metric.mean) else f"{metric.mean:.9g}"
        metrics[name] = repr({**attrs.asdict(metric), "mean": mean})
    series = {name: repr(found.to_dict()) for name, found in content.series(summary.metrics).items()}
    return {"summary": repr(attrs.evolve(summary, metrics={})), "metrics": metrics, "series": series}


def check(folder: Path) -> Content:
    """Return the content of *folder* after comparing what the index says with what the journal says."""
    found = read_content(folder)
    assert answers(found) == answers(read_content(folder, cached=False))
    return found


def is_indexed(folder: Path) -> bool:
    store = index_of(folder)
    known = store.load(folder) if store else None
    return known is not None and known.is_whole


def metrics(*steps: int, name: str = "loss") -> list[dict[str, Any]]:
    return [{"kind": "metrics", "step": step, "metrics": {name: 1 / (1 + step)}} for step in steps]


# -- the same answers -------------------------------------------------------------------------------------------------

LINES = {
    "loss": lambda seq, t: line("metrics", seq, t, step=seq, metrics={"loss": t}),
    "both": lambda seq, t: line("metrics", seq, t, step=seq, epoch=1, metrics={"loss": seq, "acc": -t}),
    "acc": lambda seq, t: line("metrics", seq, t, metrics={"acc": math.nan if seq % 2 else math.inf}),
    "epoch": lambda seq, t: line("metrics", seq, t, epoch=seq, metrics={"acc": 0.5}),
    "result": lambda seq, t: line(
        "log", seq, t, level="RESULT", message="r", metrics={"r": seq}, other={"a": math.nan}
    ),
    "text": lambda seq, t: line("log", seq, t, level="INFO", message="text", metrics={"loss": 2}),
    "params": lambda seq, t: line("params", seq, t, params={"lr": seq, "x": {"y": math.nan}}, logger="other"),
    "tags": lambda seq, t: line("tags", seq, t, tags={"a": str(seq)}),
    "define": lambda seq, t: line("define", seq, t, name="*", goal="min", step_metric="acc"),
    "end": lambda seq, t: line("end", seq, t, status="completed", metrics={"loss": -5, "final": 1}),
    "gap": lambda seq, t: line("gap", seq, t, dropped=3),
    "damaged": lambda seq, t: line("metrics", seq, t, metrics={"loss": 1})[:-20] + b"\n",
    "torn": lambda seq, t: line("metrics", seq, t, metrics={"loss": 1})[:-5],
}
written = st.tuples(st.sampled_from(sorted(LINES)), st.integers(0, 15), st.integers(0, 9))
growths = st.lists(
    st.tuples(st.sampled_from(["a.000000", "a.000001", "b.000000"]), st.lists(written, max_size=6)), max_size=6
)


@settings(max_examples=30)
@given(growths=growths, full=st.sampled_from([1, 5, 1_000_000]), small=st.sampled_from([2, 16_384]))
def test_whatever_is_written_and_however_it_grows(
    growths: list[Any], full: int, small: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("store") / "run"
    (folder / "journal").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_FULL", full)
        patch.setattr(parts, "_SMALL", small)
        patch.setattr("refunc.journal.scan._BLOCK_BYTES", 300)
        check(folder)
        for segment, lines in growths:
            path = folder / "journal" / f"{segment}.jsonl"
            with open(path, "ab") as file:
                if not file.tell():
                    file.write(HEADER)
                file.writelines(LINES[kind](seq, float(time)) for kind, seq, time in lines)
            check(folder)
    assert is_indexed(folder)


@pytest.mark.parametrize("steps", [range(40), [None] * 40, [0.5, *range(39)]])
def test_what_stands_in_a_row_may_be_of_any_kind(steps: list[Any], write_run: WriteRun) -> None:
    kinds = [
        *({"a": 1.0, "b": 2.0}, {"a": None, "b": 2.0}, {"a": 1.0, "c": 2.0}, {"b": 1.0, "a": 2.0}, {"a": 1.0}),
        *({"a": math.nan, "b": 1e300}, {}, {"a": 10**400, "b": 1}),
    ]
    rows = [(kinds[n // 5], epoch) for epoch in (None, 3) for n in range(len(steps))]
    rows += [(kinds[n % len(kinds)], n if n % 3 else None) for n in range(len(steps))]
    lines = [
        {"kind": "metrics", "step": step, "metrics": metrics, **({} if epoch is None else {"epoch": epoch})}
        for (metrics, epoch), step in zip(rows, [*steps] * 3, strict=True)
    ]
    folder = write_run("any", lines)

    content = check(folder)

    expected = [line["metrics"]["a"] for line in lines if "a" in line["metrics"]]
    assert repr(list(content.series(["a"])["a"].values)) == repr([_float(value) for value in expected])


def test_other_names_behind_a_value_that_is_none(write_run: WriteRun) -> None:
    lines = [{"kind": "metrics", "metrics": metrics} for metrics in ({"a": None, "b": 1}, {"a": 2, "c": 3}) * 5]

    content = check(write_run("other", lines))

    assert {name: len(series) for name, series in content.series("abc").items()} == {"a": 10, "b": 5, "c": 5}


def test_many_companies_of_metrics(write_run: WriteRun) -> None:
    lines = [{"kind": "metrics", "metrics": {"loss": n, f"other{n % 400}": 1}} for n in range(900)]

    check(write_run("many", lines))


def test_many_parts_of_one_metric_are_one_series(write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_FULL", 100)
    monkeypatch.setattr("refunc.journal.scan._BLOCK_BYTES", 2_000)
    folder = write_run("parts", metrics(*range(5_000)))

    assert list(check(folder).series(["loss"])["loss"].steps) == list(range(5_000))
    assert is_indexed(folder)


def test_a_run_with_countless_holes_is_read_each_time(write_run: WriteRun) -> None:
    folder = write_run("holes", [{**point, "seq": 2 * n} for n, point in enumerate(metrics(*range(1_000)))])

    assert check(folder).summary.account.missing == 999
    assert not is_indexed(folder)


# -- a run that changes -----------------------------------------------------------------------------------------------


def test_a_finished_run_is_not_read_again(write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.open(write_run("done", metrics(*range(10))))
    assert len(run.metrics("loss")) == 10
    monkeypatch.setattr(reading, "segments", lambda folder: pytest.fail("the journal was read again"))

    again = Run.open(run.folder)

    assert (len(again.metrics("loss")), again.summary.metrics["loss"].count, again.status) == (10, 10, "crashed")


def test_only_what_is_new_is_read_of_a_run_that_grows(training: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check(training.folder)
    training.tell("for step in range(2, 50): tracker.log_metrics({'loss': step}, step=step)")
    training.tell("tracker.flush()")
    (path,) = (training.folder / "journal").iterdir()
    place = read_content(training.folder).writers[path.name.rsplit(".", 2)[0]].place

    training.tell("tracker.log_metrics({'loss': 99}, step=99); tracker.flush()")
    begins: list[int] = []
    read_at = reading.WriterContent.read_on

    def read_on(self: Any, writer: str, paths: list[Path]) -> Any:
        begins.append(self.place.offset)
        return read_at(self, writer, paths)

    monkeypatch.setattr(reading.WriterContent, "read_on", read_on)

    assert Run.open(training.folder).metrics("loss").last == 99
    assert begins == [place.offset]
    monkeypatch.undo()


@pytest.mark.parametrize("how", ["replaced", "rewritten", "shorter", "segment gone"])
def test_a_run_that_is_another_one_by_now_is_noticed(how: str, write_run: WriteRun, tmp_path: Path) -> None:
    folder = write_run("run", metrics(*range(100)))
    check(folder)
    path = folder / "journal" / "main.000000.jsonl"

    if how == "replaced":
        other = write_run("other", metrics(*range(7)))
        shutil.rmtree(folder)
        other.rename(folder)
    elif how == "rewritten":
        path.write_bytes(path.read_bytes().replace(b"loss", b"lost"))
        os.utime(path, (1, 1))
    elif how == "shorter":
        path.write_bytes(path.read_bytes()[:3_000])
    else:
        path.rename(folder / "journal" / "main.000001.jsonl")
        path.write_bytes(HEADER)

    check(folder)
    assert is_indexed(folder)


def test_a_run_reached_by_a_link_is_the_same_run(write_run: WriteRun, tmp_path: Path) -> None:
    folder = write_run("run", metrics(1, 2))
    check(folder)
    link = tmp_path / "link"
    link.symlink_to(folder)

    assert is_indexed(link)


# -- the file ---------------------------------------------------------------------------------------------------------


def test_it_lies_outside_of_the_store_one_file_each(write_run: WriteRun, cache: Path) -> None:
    folder = write_run("run", metrics(1, 2))
    before = sorted(str(path) for path in folder.parent.rglob("*"))

    check(folder)

    assert sorted(str(path) for path in folder.parent.rglob("*")) == before
    assert [path.suffix for path in cache.iterdir()] == [".sqlite"]
    assert cache.stat().st_mode & 0o777 == 0o700


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
    damage: Callable[[Path], None], write_run: WriteRun, cache: Path
) -> None:
    folder = write_run("run", metrics(*range(3_000)))
    check(folder)
    (path,) = cache.iterdir()
    damage(path)

    run = Run.open(folder)

    assert list(run.metrics("loss").steps) == list(range(3_000))
    assert run.summary.metrics["loss"].count == 3_000
    assert list(Run.open(folder).metrics("loss").steps) == list(range(3_000))
    if damage is not fewer_rows:
        assert is_indexed(folder)


def blocked_by_a_file(cache: Path, folder: Path) -> None:
    cache.write_text("no folder")


def read_only(cache: Path, folder: Path) -> None:
    cache.mkdir()
    path = index_path(folder.parent)
    assert path is not None
    path.mkdir()


@pytest.mark.parametrize("obstacle", [blocked_by_a_file, read_only])
def test_where_no_file_can_be_the_journals_are_read(
    obstacle: Callable[[Path, Path], None], write_run: WriteRun, cache: Path
) -> None:
    folder = write_run("run", metrics(1, 2))
    obstacle(cache, folder)

    check(folder)
    assert not is_indexed(folder)


@pytest.mark.parametrize("word", ["off", "OFF", "0"])
def test_it_can_be_switched_off(word: str, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUNC_CACHE", word)
    monkeypatch.setattr(sqlite3, "connect", lambda *arguments, **options: pytest.fail("a file was opened"))

    assert list(Run.open(write_run("run", metrics(1, 2))).metrics("loss").steps) == [1, 2]


def test_where_it_is_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REFUNC_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert index_path(tmp_path).parent == tmp_path / ".cache" / "refunc"  # type: ignore[union-attr]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert index_path(tmp_path).parent == tmp_path / "xdg" / "refunc"  # type: ignore[union-attr]


def test_a_locked_file_is_not_waited_for_long(
    write_run: WriteRun, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run("run", metrics(1, 2))
    check(folder)
    monkeypatch.setattr(index, "_PATIENCE", 0.05)
    holder = sqlite3.connect(next(iter(cache.iterdir())), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with open(folder / "journal" / "main.000000.jsonl", "ab") as file:
        file.write(line("metrics", 2, metrics={"loss": 7}))

    assert list(Run.open(folder).metrics("loss").values)[-1] == 7

    holder.execute("ROLLBACK")
    holder.close()
    check(folder)


def test_a_full_disk_is_no_error(write_run: WriteRun, cache: Path) -> None:
    folder = write_run("run", metrics(*range(20_000)))
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "from pathlib import Path; from refunc.runs import Run\n"
        "print(len(Run.open(Path(sys.argv[1])).metrics('loss')))"
    )

    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr) == ("20000\n", "")
    check(folder)


# -- several processes ------------------------------------------------------------------------------------------------

READS = """
import json, sys
from pathlib import Path
from refunc.runs import open_store, reading
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


def test_processes_that_index_at_once_all_get_the_same(write_run: WriteRun, tmp_path: Path) -> None:
    folders = [write_run(f"run{n}", metrics(*range(3_000))) for n in range(4)]
    processes = [start_reading(tmp_path / "experiments") for _ in range(3)]

    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in processes]

    expected = [[f"run{n}", "loss", 3_000, sum(range(3_000))] for n in range(4)]
    assert [sorted(map(json.loads, output)) for output in outputs] == [expected] * 3
    for folder in folders:
        check(folder)


@pytest.mark.parametrize("parts", [1, 3, 6])
def test_a_process_that_is_killed_while_it_indexes_leaves_no_wrong_answer(
    parts: int, write_run: WriteRun, tmp_path: Path, cache: Path
) -> None:
    folder = write_run("run", metrics(*range(60_000)))
    process = start_reading(tmp_path / "experiments")
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()

    def rows() -> int:
        known = index_of(folder).load(folder)  # type: ignore[union-attr]
        return (
            sum(group.stored for writer in known.writers.values() for group in writer.columns.groups.values())
            if known
            else 0
        )

    while process.poll() is None and rows() < parts * 1_000:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()

    check(folder)
    assert list(open_store(tmp_path / "experiments")["run"].metrics("loss").steps) == list(range(60_000))
