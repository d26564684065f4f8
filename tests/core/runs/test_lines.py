"""Pages of log lines: all lines once, in any direction, by level and text, also while the run goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.journal.codec import encode_line
from refunc.runs import lines as module
from refunc.runs.lines import LineFilter, LinePage, RunLines

WriteRun = Callable[..., Path]
pytestmark = pytest.mark.once


def append(folder: Path, *records: dict[str, Any]) -> None:
    """Append records to the file of the main writer."""
    file = folder / "journal" / "main.000000.jsonl"
    count = file.read_bytes().count(b"\n") - 1
    with file.open("ab") as target:
        target.writelines(encode_line({"seq": count + at, **record}) for at, record in enumerate(records))


def text(number: int, **fields: Any) -> dict[str, Any]:
    level = "WARNING" if number % 10 == 0 else "INFO"
    return {"kind": "log", "time": float(number), "level": level, "message": f"line {number}", **fields}


def metrics(number: int) -> dict[str, Any]:
    return {"kind": "metrics", "time": float(number), "step": number, "metrics": {"loss": 1.0}}


def messages(page: LinePage) -> list[str]:
    return [line.entry.message for line in page.lines]


def read(folder: Path) -> RunLines:
    lines = RunLines(folder)
    lines.read_on()
    return lines


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_in_both_directions_have_each_line_once(write_run: WriteRun, limit: int) -> None:
    folder = write_run("run", lines=[each for n in range(40) for each in (metrics(n), text(n))])
    lines = read(folder)
    every = [f"line {n}" for n in range(40)]

    page, backwards = lines.newest(limit), []
    while True:
        backwards = messages(page) + backwards
        if page.before is None:
            break
        page = lines.before(page.before, limit)
    page, onwards = lines.after(-1, limit), []
    while True:
        onwards += messages(page)
        if page.after is None:
            break
        page = lines.after(page.after, limit)

    assert backwards == onwards == every


def test_lines_of_several_writers_come_by_time_and_what_is_new_comes_later(
    write_run: WriteRun,
) -> None:
    folder = write_run("run", lines=[text(0), text(4)], others={"child": [text(2), text(6)]})
    lines = read(folder)

    assert messages(lines.newest(10)) == ["line 0", "line 2", "line 4", "line 6"]
    last = lines.newest(10).lines[-1].number

    append(folder, text(5), metrics(6), text(7))
    lines.read_on()

    assert messages(lines.after(last, 10)) == ["line 5", "line 7"]


def test_by_level_text_and_rank(write_run: WriteRun) -> None:
    traced = text(3, message="failed", exception='Traceback\n  File "TRAIN.py"\nValueError: "quoted" ünïcode')
    lines = read(write_run("run", lines=[*map(text, range(3)), traced, *map(text, range(4, 30))]))

    assert messages(lines.newest(10, LineFilter(level=30))) == ["line 0", "line 10", "line 20"]
    assert messages(lines.newest(10, LineFilter(text="LINE 2"))) == ["line 2", *(f"line 2{n}" for n in range(10))][-10:]
    for searched in ("train.PY", '"quoted"', "ÜNÏCODE", "failed"):
        assert messages(lines.newest(10, LineFilter(text=searched))) == ["failed"], searched
    assert messages(lines.newest(10, LineFilter(text="no such text"))) == []
    assert messages(lines.newest(10, LineFilter(rank=1))) == []
    assert len(messages(lines.newest(50, LineFilter(rank=0)))) == 30


def test_around_a_step_and_a_time(write_run: WriteRun) -> None:
    lines = read(write_run("run", lines=[text(n, step=n * 10) for n in range(50)]))

    assert lines.at_step(200) == lines.at_time(20.0) == 20
    page = lines.around(20, 5)

    assert messages(page) == [f"line {n}" for n in range(18, 23)]
    assert (page.before, page.after) == (18, 22)
    assert read(write_run("other", lines=[text(1)])).at_step(1) is None


def test_a_search_that_takes_long_says_how_far_it_got_and_goes_on_there(
    write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = read(write_run("run", lines=[text(n) for n in range(100)]))
    monkeypatch.setattr(module, "_BATCH", 10)
    monkeypatch.setattr(module, "_PATIENCE", -1.0)

    page, found, asked = lines.newest(5, LineFilter(text="line 1")), list[str](), 0
    while True:
        asked += 1
        found = messages(page) + found
        following = page.searched_to if page.searched_to is not None else page.before
        if following is None:
            break
        page = lines.before(following, 5, LineFilter(text="line 1"))

    assert found == ["line 1", *(f"line 1{n}" for n in range(10))]
    assert asked >= 10


def test_of_a_run_with_very_many_lines_the_newest_are_kept_in_mind(
    write_run: WriteRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LINES", 50)
    folder = write_run("run", lines=[text(n) for n in range(80)])
    lines = read(folder)
    append(folder, text(80), text(81))
    lines.read_on()

    assert len(lines) == 82
    assert messages(lines.newest(2)) == ["line 80", "line 81"]
    first = lines.after(-1, 1)
    assert first.before is None
    assert first.lines[0].number >= 30


def test_damaged_lines_are_left_out_and_files_that_are_gone_end_nothing(write_run: WriteRun) -> None:
    folder = write_run("run", lines=[text(0), text(1), text(2)])
    (file,) = (folder / "journal").iterdir()
    file.write_bytes(file.read_bytes().replace(b"line 1", b"line x"))
    lines = read(folder)

    assert messages(lines.newest(5)) == ["line 0", "line 2"]
    file.unlink()
    assert messages(lines.newest(5)) == []


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 20))
def test_reading_on_finds_what_one_reading_finds(kinds: list[bool], cut: int) -> None:
    header = encode_line({"kind": "segment", "format": 1, "logger": "hand"})
    written = [encode_line({"seq": n, **(text(n) if kind else metrics(n))}) for n, kind in enumerate(kinds)]
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "journal").mkdir()
        file = folder / "journal" / "a.000000.jsonl"
        file.write_bytes(header)
        lines = read(folder)
        data = b"".join(written)
        for begin in range(0, len(data), 37 * cut):
            with file.open("ab") as target:
                target.write(data[begin : begin + 37 * cut])
            lines.read_on()

        assert messages(lines.newest(100)) == [f"line {n}" for n, kind in enumerate(kinds) if kind]
