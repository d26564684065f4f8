"""
Sources that are damaged, or made to do harm: a part costs itself, and nothing from outside of a source is taken.

Each source here has a run that is good beside one that is not.
"""

from __future__ import annotations

import ast
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.commands.importing.crafted import (
    RUN,
    SOURCES,
    database,
    events,
    field,
    lightning,
    mlruns,
    tensorboard,
    wandb,
    wandb_run,
)

import refunc_commands.importing
from refunc.journal.record import LogLine
from refunc.runs import open_store
from refunc_commands.importing.files import SourceFiles

pytestmark = pytest.mark.extras

pytest.importorskip("yaml")

SECRET = b"of another folder"


# -- damage at random -------------------------------------------------------------------------------------------------


def damaged(data: bytes, damage: list[tuple[str, int, int, bytes]]) -> bytes:
    for kind, place, size, added in damage:
        at = place % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ (1 << size % 8)]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + size :]
        elif kind == "repeat":
            data = data[:at] + data[at : at + size] * 3 + data[at + size :]
        elif kind == "insert":
            data = data[:at] + added + data[at:]
    return data


#: Texts that mean something to one of the formats, and bytes that mean nothing to any.
PIECES = st.sampled_from(
    [b"\n", b"\r", b" ", b",", b'"', b"&a [*a]", b"!!bool x", b".inf", b"9" * 400, b"\0", b"\xff", b"-"]
)
DAMAGE = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "repeat", "insert"]),
        st.integers(0, 1 << 16),
        st.integers(1, 64),
        PIECES | st.binary(max_size=16),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.once
@pytest.mark.parametrize("tracker", SOURCES)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(which=st.integers(0, 99), damage=DAMAGE)
def test_damage_costs_the_damaged_part(
    tracker: str, imported: Callable[..., Any], which: int, damage: list[tuple[str, int, int, bytes]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "outside").write_bytes(SECRET)
        source = SOURCES[tracker](Path(folder))
        files = sorted(path for path in source.parent.rglob("*") if path.is_file() and "bad" in str(path)) or [source]
        files[which % len(files)].write_bytes(damaged(files[which % len(files)].read_bytes(), damage))

        result = imported(
            source, "--from", "mlflow" if tracker in ("mlruns", "database") else tracker, "--store", f"{folder}/s"
        )

        # A database is one file: damage to it may be damage to all.
        assert result.exit_code in ((0, 1, 2) if tracker == "database" else (0, 1))
        assert result.exit_code == 2 or isinstance(result.exception, (SystemExit, type(None)))
        assert "Traceback" not in result.stderr
        runs = {str(run.run_name) for run in open_store(f"{folder}/s")} if result.exit_code < 2 else {"good"}
        assert tracker == "database" or "good" in runs
        if result.exit_code == 0:
            assert result.said["left_out"] == 0
        assert not any(SECRET in path.read_bytes() for path in Path(folder, "s").rglob("*") if path.is_file())


# -- sources made to do harm ------------------------------------------------------------------------------------------


def spoilt(source: Path, path: str, text: str) -> None:
    (source / path).write_text((source / path).read_text() + text)


LAUGHS = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{{', '.join(f'k{j}: *a{i - 1}' for j in range(9))}}}\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("start_time: .inf\n", "not a valid time: inf"),
        ("start_time: .nan\n", "not a valid time: nan"),
        ("start_time: " + "9" * 4_000, "not a valid time"),
        ("x: !!bool x\n", "KeyError: 'x'"),
        ("x: !!timestamp x\n", "AttributeError"),
        ("run_id: " + "x" * 2_000, "too long"),
        (LAUGHS, "more than 200,000 values"),
        ("a: &a {b: *a}\n", "it contains itself"),
        ("a: " + "[" * 500, "100 levels"),
        ("a: " + "x" * (1 << 20), "more than 1,048,576 bytes"),
    ],
    ids=lambda value: value[:12],
)
def test_a_run_that_mlflow_cannot_have_written_is_left_out_with_the_reason(
    own_folder: Path, imported: Callable[..., Any], text: str, says: str
) -> None:
    source = mlruns(own_folder)
    spoilt(source, "0/bad/meta.yaml", text)

    result = imported(source)

    assert (result.exit_code, result.said["left_out"]) == (1, 1)
    assert [run.run_name for run in open_store()] == ["good"]
    (problem,) = result.said["problems"]
    assert problem.startswith("bad was left out: ")
    assert says in problem


def test_names_of_any_kind_are_texts(own_folder: Path, imported: Callable[..., Any]) -> None:
    source = mlruns(own_folder)
    spoilt(source, "0/bad/meta.yaml", "run_name: 0x" + "f" * 9_000 + "\n")
    spoilt(source, "0/good/meta.yaml", "run_name: [1, {a: 2}]\n")

    assert imported(source).exit_code == 0
    assert sorted(str(run.run_name)[:12] for run in open_store()) == ["0x" + "f" * 10, "[1, {'a': 2}"]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("update runs set start_time = 'x' where name = 'bad';", "run bad was left out"),
        ("update runs set start_time = 9e300 where name = 'bad';", "run bad was left out"),
        (RUN.format("bad"), "run bad was left out: the database has it twice"),
        ("update metrics set value = null;", "a point of a metric is damaged"),
        ("update metrics set timestamp = null;", "a point of a metric is damaged"),
        ("update runs set artifact_uri = 'http://[x' where name = 'bad';", "its address is damaged"),
        (
            "drop table tags; create table tags(key text, run_uuid text, value text generated always as"
            " (hex(zeroblob(4000000))) virtual); insert into tags values('a', 'good');",
            "the table tags was left out: it is a view",
        ),
        (
            "drop table tags; create table tags(key text, run_uuid text);"
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)"
            " insert into tags select i, 'good' from n;"
            f"alter table tags add column value text default '{'x' * 50_000}';",
            "it yields more data than its file holds",
        ),
        ("update params set key = null;", ""),
    ],
    ids=["text", "late", "twice", "no value", "no time", "address", "computed", "default", "no name"],
)
def test_rows_of_a_database_that_mlflow_cannot_have_written(
    own_folder: Path, imported: Callable[..., Any], sql: str, says: str
) -> None:
    result = imported(database(own_folder, sql))

    assert result.exit_code in (0, 1)
    assert "good" in [run.run_name for run in open_store()]
    problems = [*result.said["problems"], *(line for run in result.said["imported"] for line in run["problems"])]
    assert says in " ".join(problems)


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), 1e300, -1.0])
def test_an_event_without_a_time_is_damaged(own_folder: Path, imported: Callable[..., Any], moment: float) -> None:
    source = tensorboard(own_folder)
    (source / "bad" / "events.out.tfevents.1").write_bytes(events(1.7e9, moment, 1.7e9 + 2))

    result = imported(source)

    (bad,) = [run for run in result.said["imported"] if run["run_name"] == "bad"]
    assert (bad["wrote"]["points"], bad["problems"]) == (2, [f"an event is damaged: its time is {moment}"])


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (field(5, field(1, field(2, "a") * 5_000 + field(16, "1"))), "nested too deeply"),
        (field(2, field(1, field(1, "x") + field(16, "[" * 100_000))), "damaged"),
        (field(2, field(1, field(1, "_timestamp") + field(16, "9" * 4_000))), ""),
        (field(2, field(1, field(1, "_step") + field(16, "9" * 400)) + field(1, field(1, "y") + field(16, "1"))), ""),
        (
            field(7, field(2, field(1, 1 << 62)) + field(3, field(1, "cpu") + field(16, "1"))),
            "a record's time is not valid",
        ),
    ],
    ids=["names", "brackets", "time", "step", "clock"],
)
def test_records_that_wandb_cannot_have_written(
    own_folder: Path, imported: Callable[..., Any], record: bytes, says: str
) -> None:
    source = wandb(own_folder)
    next(source.glob("*/run-bad.wandb")).write_bytes(wandb_run("bad", record))

    result = imported(source)

    (bad,) = [run for run in result.said["imported"] if run["run_name"] == "bad"]
    assert says in " ".join(bad["problems"])
    assert bad["wrote"]["points"] >= 1
    assert len(list(open_store())) == 2


def test_a_line_without_an_end_keeps_its_last_state_only(own_folder: Path, imported: Callable[..., Any]) -> None:
    source = wandb(own_folder)
    pieces = [field(4, field(3, f"\rstep {step} " * 1_000)) for step in range(100)]
    next(source.glob("*/run-bad.wandb")).write_bytes(wandb_run("bad", *pieces, field(4, field(3, "\r\nend"))))

    imported(source)

    (run,) = [run for run in open_store() if run.run_name == "bad"]
    assert [record.message for record in run.records() if isinstance(record, LogLine)] == ["step 99 ", "end"]


def test_what_grows_without_end_is_left_out(own_folder: Path, imported: Callable[..., Any]) -> None:
    source = lightning(own_folder)
    (source / "bad" / "metrics.csv").write_text("x" * 20_000 + "\n" + "1\n" * 2_000)

    result = imported(source)

    assert [run.run_name for run in open_store()] == ["good"]
    assert "it would be more than 64 times larger than" in result.said["failed"][0]["reason"]
    assert not list(Path("experiments").glob(".import-*"))


def outside_of(source: Path) -> Path:
    path = source.parent / "outside" / "id_rsa"
    path.parent.mkdir()
    path.write_bytes(SECRET)
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize(
    ("tracker", "place"),
    [
        ("mlruns", "0/bad/params/more"),
        ("mlruns", "0/bad/metrics/more"),
        ("mlruns", "0/bad/tags/more"),
        ("mlruns", "0/bad/artifacts/more"),
        ("mlruns", "0/more/meta.yaml"),
        ("lightning", "bad/more"),
        ("lightning", "more/metrics.csv"),
        ("tensorboard", "bad/a.tfevents.2"),
        ("wandb", "offline-run-20260101_000000-bad/files/more"),
        ("wandb", "offline-run-20260101_000000-more/more.wandb"),
    ],
)
def test_links_out_pipes_and_links_to_nowhere_are_told_and_not_opened(
    own_folder: Path, imported: Callable[..., Any], tracker: str, place: str
) -> None:
    source = SOURCES[tracker](own_folder)
    secret = outside_of(source)
    makers = {
        "a link that leads out": lambda path: path.symlink_to(secret),
        "a pipe": os.mkfifo,
        "a broken link": lambda path: path.symlink_to(source / "gone"),
        "a link that leads to itself": lambda path: path.symlink_to(path),
    }
    for says, make in makers.items():
        (source / place).parent.mkdir(exist_ok=True)
        make(source / place)

        result = imported(source, "--again", "--from", "mlflow" if tracker == "mlruns" else tracker)

        (source / place).unlink()
        assert (result.exit_code, result.said["left_out"]) == (1, 1)
        problems = [*result.said["problems"], *(line for run in result.said["imported"] for line in run["problems"])]
        assert any("more" in line or "tfevents.2" in line for line in problems)
        assert says in " ".join(problems)
        assert {"good", "bad"} <= {run["run_name"] for run in result.said["imported"]}
    assert not any(SECRET in path.read_bytes() for path in Path("experiments").rglob("*") if path.is_file())


@pytest.mark.parametrize("tracker", ["mlruns", "database"])
def test_artifacts_elsewhere_are_told_and_not_copied(
    own_folder: Path, imported: Callable[..., Any], tracker: str
) -> None:
    source = SOURCES[tracker](own_folder)
    secret = outside_of(source)
    if tracker == "mlruns":
        (source / "0/bad/artifacts/a.txt").unlink()
        (source / "0/bad/artifacts").rmdir()
        spoilt(source, "0/bad/meta.yaml", f"artifact_uri: {secret.parent.as_uri()}\n")
    else:
        with sqlite3.connect(source) as connection:
            connection.execute("update runs set artifact_uri = ? where name = 'bad'", (secret.parent.as_uri(),))
        connection.close()
        (own_folder / "mlruns" / "1" / "good" / "artifacts").mkdir(parents=True)
        (own_folder / "mlruns" / "1" / "good" / "artifacts" / "link").symlink_to(secret)

    result = imported(source)

    assert result.exit_code == 1
    assert not any(SECRET in path.read_bytes() for path in Path("experiments").rglob("*") if path.is_file())
    told = " ".join(line for run in result.said["imported"] for line in run["problems"])
    assert f"{secret.parent} was left out: it is not in the source" in told
    assert ("link was left out" in told) is (tracker == "database")


def test_a_file_of_holes_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file:
        file.truncate(1 << 40)
    if os.stat(tmp_path / "file").st_blocks:
        pytest.skip("no holes in this file system")

    assert SourceFiles(tmp_path).refusal(tmp_path / "file") == "it is a sparse file with almost no data"


# -- the mechanism ----------------------------------------------------------------------------------------------------


@pytest.mark.once
def test_only_the_files_of_a_source_open_files() -> None:
    """A reader that opens or lists by itself would follow links out of the source, and wait for pipes."""
    forbidden = {"open", "walk", "scandir", "listdir", "read_text", "read_bytes", "rglob", "iterdir"}
    folder = Path(refunc_commands.importing.__file__).parent
    found = {
        (path.name, name)
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and (name := getattr(node.func, "id", None) or getattr(node.func, "attr", None)) in forbidden
        and getattr(getattr(node.func, "value", None), "id", "") != "files"
    }

    # `databases` opens its own copies, `detection` names files that may have been meant.
    assert {name for name, _ in found} == {"files.py", "databases.py", "detection.py"}
    assert ("detection.py", "iterdir") in found
    assert ("detection.py", "open") not in found
