"""The index gives the same answers as the journals, whatever happens to either, and is never missed."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refunc.journal.codec import encode_line
from refunc.journal.pieces import Segment
from refunc.runs import Run
from refunc.runs import read_on as reading
from refunc.runs.column import float_of
from refunc.runs.index import points as parts
from refunc.runs.read_on import read_content
from refunc.runs.segments_ahead import segment_content
from refunc.runs.sent import received
from refunc.runs.stale import Stale

WriteRun = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("cache")
HEADER = encode_line({"kind": "segment", "format": 1, "logger": "hand"})


# -- the same answers -------------------------------------------------------------------------------------------------


def line(kind: str, seq: int, time: float = 1.0, **fields: Any) -> bytes:
    return encode_line({"seq": seq, "time": time, "kind": kind, **fields})


LINES = {
    "loss": lambda seq, t: line("metrics", seq, t, step=seq, metrics={"loss": t}),
    "both": lambda seq, t: line("metrics", seq, t, step=seq, epoch=1, metrics={"loss": seq, "acc": -t}),
    "acc": lambda seq, t: line("metrics", seq, t, metrics={"acc": math.nan if seq % 2 else math.inf}),
    "half": lambda seq, t: line("metrics", seq, t, step=seq + 0.5, epoch=t / 4, metrics={"loss": t}),
    "part": lambda seq, t: line("metrics", seq, t, step=seq, epoch=0.5, metrics={"loss": seq, "acc": -t}),
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


@contextmanager
def read_here(folder: Path, wanted: list[Segment], processes: int) -> Iterator[Any]:
    """Read segments as the processes that read ahead do, but in this one."""

    def content(segment: Segment) -> Any:
        found = segment_content(segment) if processes and segment in wanted else b""
        return received(found) if found else None

    yield content


@settings(max_examples=30)
@given(
    growths=growths,
    full=st.sampled_from([1, 5, 1_000_000]),
    small=st.sampled_from([2, 16_384]),
    enough=st.sampled_from([0, 4, 50_000]),
    processes=st.sampled_from([0, 2]),
)
def test_whatever_is_written_and_however_it_grows(
    growths: list[Any],
    full: int,
    small: int,
    enough: int,
    processes: int,
    tmp_path_factory: pytest.TempPathFactory,
    indexing: Any,
) -> None:
    folder = tmp_path_factory.mktemp("store") / "run"
    (folder / "journal").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_FULL", full)
        patch.setattr(reading, "_ENOUGH", enough)
        patch.setattr(parts, "_SMALL", small)
        patch.setattr("refunc.journal.scan._BLOCK_BYTES", 300)
        patch.setattr("refunc.journal.stretches._LEAST", 1)
        patch.setattr(reading, "segments_ahead", read_here)
        indexing.check(folder, processes)
        followed = Run(folder, {})
        before: list[tuple[Any, Any]] = []
        for segment, lines in growths:
            path = folder / "journal" / f"{segment}.jsonl"
            with open(path, "ab") as file:
                if not file.tell():
                    file.write(HEADER)
                file.writelines(LINES[kind](seq, float(time)) for kind, seq, time in lines)
            content = followed.content()
            answers = indexing.answers(content)
            assert answers == indexing.answers(read_content(folder, cached=False))
            before.append((content, answers))
            indexing.check(folder, processes)
        # Content that was read before is not changed by reading on.
        for content, answers in before if enough > 50 else ():
            with suppress(Stale):  # its points are gone, since a file has changed otherwise: a run reads them again
                assert indexing.answers(content) == answers
    assert indexing.is_indexed(folder)


@pytest.mark.parametrize("steps", [range(40), [None] * 40, [0.5, *range(39)]])
def test_what_stands_in_a_row_may_be_of_any_kind(steps: list[Any], write_run: WriteRun, indexing: Any) -> None:
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

    content = indexing.check(folder)

    expected = [line["metrics"]["a"] for line in lines if "a" in line["metrics"]]
    assert repr(list(content.series(["a"])["a"].values)) == repr([float_of(value) for value in expected])


def test_other_names_behind_a_value_that_is_none(write_run: WriteRun, indexing: Any) -> None:
    lines = [{"kind": "metrics", "metrics": metrics} for metrics in ({"a": None, "b": 1}, {"a": 2, "c": 3}) * 5]

    content = indexing.check(write_run("other", lines))

    assert {name: len(series) for name, series in content.series("abc").items()} == {"a": 10, "b": 5, "c": 5}


def test_many_companies_of_metrics(write_run: WriteRun, indexing: Any) -> None:
    lines = [{"kind": "metrics", "metrics": {"loss": n, f"other{n % 400}": 1}} for n in range(900)]

    indexing.check(write_run("many", lines))


def test_many_parts_of_one_metric_are_one_series(
    write_run: WriteRun, monkeypatch: pytest.MonkeyPatch, indexing: Any
) -> None:
    monkeypatch.setattr(reading, "_FULL", 100)
    monkeypatch.setattr("refunc.journal.scan._BLOCK_BYTES", 2_000)
    folder = write_run("parts", indexing.metrics(*range(5_000)))

    assert list(indexing.check(folder).series(["loss"])["loss"].steps) == list(range(5_000))
    assert indexing.is_indexed(folder)


def test_a_run_with_countless_holes_is_read_each_time(write_run: WriteRun, indexing: Any) -> None:
    folder = write_run("holes", [{**point, "seq": 2 * n} for n, point in enumerate(indexing.metrics(*range(1_000)))])

    assert indexing.check(folder).summary.account.missing == 999
    assert not indexing.is_indexed(folder)


# -- a run that changes -----------------------------------------------------------------------------------------------


def test_a_finished_run_is_not_read_again(write_run: WriteRun, monkeypatch: pytest.MonkeyPatch, indexing: Any) -> None:
    run = Run.open(write_run("done", indexing.metrics(*range(10))))
    assert len(run.metrics("loss")) == 10
    monkeypatch.setattr(reading, "segments", lambda folder: pytest.fail("the journal was read again"))

    again = Run.open(run.folder)

    assert (len(again.metrics("loss")), again.summary.metrics["loss"].count, again.status) == (10, 10, "crashed")


def test_only_what_is_new_is_read_of_a_run_that_grows(
    training: Any, monkeypatch: pytest.MonkeyPatch, indexing: Any
) -> None:
    indexing.check(training.folder)
    training.tell("for step in range(2, 50): tracker.log_metrics({'loss': step}, step=step)")
    training.tell("tracker.flush()")
    (path,) = (training.folder / "journal").iterdir()
    position = read_content(training.folder).writers[path.name.rsplit(".", 2)[0]].position

    training.tell("tracker.log_metrics({'loss': 99}, step=99); tracker.flush()")
    begins: list[int] = []
    read_at = reading.WriterContent.read_on

    def read_on(self: Any, *given: Any) -> Any:
        begins.append(self.position.offset)
        return read_at(self, *given)

    monkeypatch.setattr(reading.WriterContent, "read_on", read_on)

    assert Run.open(training.folder).metrics("loss").last == 99
    assert begins == [position.offset]
    monkeypatch.undo()


@pytest.mark.parametrize("how", ["replaced", "rewritten", "shorter", "segment gone"])
def test_a_run_that_is_another_one_by_now_is_noticed(
    how: str, write_run: WriteRun, tmp_path: Path, indexing: Any
) -> None:
    folder = write_run("run", indexing.metrics(*range(100)))
    indexing.check(folder)
    path = folder / "journal" / "main.000000.jsonl"

    if how == "replaced":
        other = write_run("other", indexing.metrics(*range(7)))
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

    indexing.check(folder)
    assert indexing.is_indexed(folder)


def test_a_run_reached_by_a_link_is_the_same_run(write_run: WriteRun, tmp_path: Path, indexing: Any) -> None:
    folder = write_run("run", indexing.metrics(1, 2))
    indexing.check(folder)
    link = tmp_path / "link"
    link.symlink_to(folder)

    assert indexing.is_indexed(link)
