"""Other processes that read segments ahead change no answer, whatever becomes of them, and leave none behind."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import encode_lines
from refunc.journal.pieces import Segment, segments
from refunc.journal.scan import ReadPosition
from refunc.runs import Run, reader_process, segments_ahead, writer_content
from refunc.runs.index.contents import load
from refunc.runs.index.file import index_of
from refunc.runs.read_on import read_content

pytestmark = pytest.mark.once

HEADER = {"kind": "segment", "format": 1, "logger": "hand"}
POINTS = 300
SEGMENTS = 9


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REFUNC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(segments_ahead, "_SHARE", 1)
    monkeypatch.setattr(reader_process, "_PATIENCE", 60)  # a busy machine may take long to begin
    return tmp_path / "cache"


def lines(number: int) -> list[dict[str, Any]]:
    """Return the lines of a segment: two sets of metrics, some with epochs and values that JSON does not have."""
    found: list[dict[str, Any]] = []
    for seq in range(number * POINTS, (number + 1) * POINTS):
        names = {"loss": 1 / (1 + seq)} if seq % 7 else {"val/loss": math.nan if seq % 14 else 0.5, "loss": 2.0}
        row = {"seq": seq, "time": 1_000.0 + seq, "kind": "metrics", "step": seq, "metrics": names}
        found.append({**row, "epoch": seq // 100} if number > 3 else row)
    found[10] = {**{name: found[10][name] for name in ("seq", "time")}, "kind": "params", "params": {f"p{number}": 1}}
    found[20] = {
        **{name: found[20][name] for name in ("seq", "time")},
        "kind": "log",
        "level": "RESULT",
        "message": "m",
        "points": {"loss": 3.0},
        "step": 5,
    }
    return found


def plain(number: int) -> bytes:
    return encode_lines([HEADER, *lines(number)])


def damaged(number: int) -> bytes:
    return plain(number).replace(b'"time":1', b'"time":2', 1)


def with_a_gap(number: int) -> bytes:
    return encode_lines([HEADER, *lines(number)[50:]])


def twice(number: int) -> bytes:
    return encode_lines([HEADER, *lines(number), *lines(number)[-30:]])


def of_another_logger(number: int) -> bytes:
    return encode_lines([{**HEADER, "logger": "other"}, *lines(number)])


def without_lines(number: int) -> bytes:
    return encode_lines([HEADER])


def torn(number: int) -> bytes:
    return plain(number)[:-10]


KINDS: list[Callable[[int], bytes]] = [plain, damaged, with_a_gap, twice, of_another_logger, without_lines, torn]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def run(kinds: list[Callable[[int], bytes]], writers: int = 1) -> Path:
        journal = tmp_path / "experiments" / "large" / "journal"
        journal.mkdir(parents=True)
        (journal.parent / "run.json").write_text('{"format": 1, "run_id": "large"}')
        for writer in range(writers):
            for number, kind in enumerate(kinds):
                (journal / f"writer{writer}.{number:06}.jsonl").write_bytes(kind(number))
        return journal.parent

    return run


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the segments that this process reads itself."""
    found: list[str] = []
    scan = writer_content.scan

    def look(writer: str, pieces: list[Segment], position: ReadPosition) -> Any:
        found.extend(piece.name for piece in pieces if piece.name >= position.segment)
        return scan(writer, pieces, position)

    monkeypatch.setattr(writer_content, "scan", look)
    return found


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The processes that are started from here on."""
    found: list[Any] = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *given, **options: found.append(popen(*given, **options)) or found[-1]
    )
    return found


def position(folder: Path) -> Any:
    """Return what the index knows of each writer's position: the counts, the numbers, and the stretches."""
    index = index_of(folder)
    content = load(index, folder) if index is not None else None
    assert content is not None
    return {
        name: (writer.position.account, writer.position.numbers.ranges, writer.position.stretches, writer.last_time)
        for name, writer in content.writers.items()
    }


# -- the same answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [0, 4, SEGMENTS - 1])
def test_a_run_read_ahead_is_what_its_journal_says(
    kind: Callable[[int], bytes], at: int, write: Callable[..., Path], indexing: Any, cache: Path, started: list[Any]
) -> None:
    folder = write([kind if number == at else plain for number in range(SEGMENTS)])

    indexing.check(folder, processes=2)
    found = position(folder)
    for path in cache.iterdir():
        path.unlink()
    read_content(folder)

    assert found == position(folder)
    assert [process.poll() is not None for process in started] == [True, True]


def test_only_segments_that_are_not_plain_are_read_here(write: Callable[..., Path], scanned: list[str]) -> None:
    folder = write([plain, damaged, plain, without_lines, twice, plain], writers=2)

    read_content(folder, processes=2)

    odd = [f"writer{writer}.{number:06}.jsonl" for writer in (0, 1) for number in (1, 3, 4)]
    assert scanned == odd


def test_a_run_that_has_grown_is_read_on(write: Callable[..., Path], scanned: list[str], indexing: Any) -> None:
    folder = write([plain] * SEGMENTS)
    rest = [segment.path for segment in segments(folder)["writer0"][3:]]
    kept = {path: Path(path).read_bytes() for path in rest}
    for path in rest:
        Path(path).unlink()
    read_content(folder)
    last = segments(folder)["writer0"][-1]
    with open(last.path, "ab") as file:
        file.write(encode_lines([{"seq": 3 * POINTS, "time": 1.0, "kind": "metrics", "metrics": {"loss": 1.0}}]))
    for path, data in kept.items():
        Path(path).write_bytes(data)
    del scanned[:]

    indexing.check(folder, processes=2)

    # The first of the new ones has a number that was just read.
    assert scanned[:2] == [last.name, "writer0.000003.jsonl"]
    assert len(scanned) == 2 + SEGMENTS  # the check reads all of them, without the index


def test_metrics_beyond_the_room_are_left_out_alike(
    write: Callable[..., Path], indexing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wide(number: int) -> bytes:
        rows = [
            {"seq": seq, "time": 1.0, "kind": "metrics", "metrics": {f"m{number}-{seq}": 1.0, "loss": 2.0}}
            for seq in range(number * 40, number * 40 + 40)
        ]
        return encode_lines([HEADER, *rows])

    monkeypatch.setattr("refunc.runs.room.MAX_METRICS", 100)
    monkeypatch.setattr("refunc.runs.columns._MOST_GROUPS", 90)
    folder = write([wide] * 4)

    content = indexing.check(folder, processes=2)

    assert len(content.summary.metrics) == 100
    assert content.summary.left_out.values == 61


def test_a_segment_that_is_read_again_takes_its_room_once(
    write: Callable[..., Path], indexing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sets(number: int) -> bytes:
        rows = [
            {"seq": seq, "time": 1.0, "kind": "metrics", "metrics": {f"{name}{seq}": 1.0 for name in "abc"}}
            for seq in range(number * 4, number * 4 + 4)
        ]
        return encode_lines([HEADER, *rows])

    # There is room for six sets of each writer, and for the metrics of its other two alone.
    monkeypatch.setattr("refunc.runs.columns._MOST_GROUPS", 6)
    monkeypatch.setattr("refunc.runs.room._MAX_COLUMNS", 36)
    monkeypatch.setattr("refunc.runs.room._MAX_ALONE", 12)
    folder = write([sets] * 2, writers=2)

    content = indexing.check(folder, processes=2)

    assert content.summary.left_out.values == 0


# -- when there is none -----------------------------------------------------------------------------------------------


def test_a_reading_library_starts_none(write: Callable[..., Path], started: list[Any]) -> None:
    folder = write([plain] * 4)

    assert Run.open(folder).summary.metrics["loss"].count > 4 * POINTS - 10
    assert started == []


def test_a_small_run_is_read_here(
    write: Callable[..., Path], started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write([plain] * 4)
    monkeypatch.setattr(segments_ahead, "_SHARE", 32 << 20)

    read_content(folder, processes=2)

    assert started == []


@pytest.mark.parametrize("program", ["/nonexistent", "/bin/false", "/bin/cat", ""])
def test_where_no_process_can_be_started(
    program: str, write: Callable[..., Path], indexing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write([plain] * 4)
    monkeypatch.setattr(reader_process, "command", lambda *_: [program])

    indexing.check(folder, processes=2)


@pytest.mark.parametrize("said", ["x" * 100_000, ".=" + "\0" * 7 + "\5hello", "=" + "\0" * 6 + "\1\0" + "[" * 256])
def test_an_answer_that_is_none(
    said: str, write: Callable[..., Path], indexing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write([plain] * 4)
    script = f"import os, sys; os.write(int(sys.argv[1]), {said!r}.encode())"
    monkeypatch.setattr(reader_process, "command", lambda _, descriptor: [sys.executable, "-c", script, descriptor])

    indexing.check(folder, processes=2)


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("after", [0, 1, 4])
def test_processes_that_are_killed_are_done_without(
    count: int, after: int, write: Callable[..., Path], started: list[Any], indexing: Any, cache: Path
) -> None:
    folder = write([plain] * SEGMENTS)
    wanted = segments(folder)["writer0"]

    with segments_ahead.segments_ahead(folder, wanted, 2) as ahead:
        found = [ahead(segment) for segment in wanted[:after]]
        for process in started[:count]:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        found += [ahead(segment) for segment in wanted[after:]]

    assert all(content is not None for content in found[:after])
    for number, process in enumerate(started):
        of_process = [content is not None for content in found[number::2]]
        # What was sent before the end is in the pipe; behind that is nothing.
        assert of_process == sorted(of_process, reverse=True)
        assert all(of_process) or number < count
        assert process.poll() is not None
    indexing.check(folder, processes=2)


def test_an_error_leaves_no_process(write: Callable[..., Path], started: list[Any]) -> None:
    folder = write([plain] * 4)

    def leave() -> None:
        with segments_ahead.segments_ahead(folder, segments(folder)["writer0"], 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()

    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_a_command_has_its_run_read_ahead(write: Callable[..., Path]) -> None:
    pytest.importorskip("click")
    folder = write([plain] * 4)
    show = [str(folder), "--store", str(folder.parent)]
    script = "from refunc.runs import segments_ahead as ahead, reader_process; import subprocess, sys\n"
    script += "ahead._SHARE = 1; reader_process.cores = lambda: 2; popen = subprocess.Popen\n"
    script += (
        "subprocess.Popen = lambda *given, **options: print('starts', file=sys.stderr) or popen(*given, **options)\n"
    )
    script += "from refunc_commands.cli import main; main()"

    said = [
        subprocess.run([sys.executable, "-c", text, "show", *show], capture_output=True, text=True, check=True)
        for text in (script, "from refunc_commands.cli import main; main()")
    ]

    assert [each.stderr for each in said] == ["starts\n" * 2, ""]
    assert said[0].stdout == said[1].stdout
