"""A run that looks unchanged is unchanged: the index answers as the journals do, whatever happened in between."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refunc.annotations import annotate, remove, restore
from refunc.journal.codec import encode_line
from refunc.runs import Run, births, open_store, unchanged
from refunc.runs.search import values_of
from refunc.runs.unchanged import changes_of

pytestmark = pytest.mark.once

PATHS = frozenset(
    [
        ("status",),
        ("run_name",),
        ("duration",),
        ("params",),
        ("params", "lr"),
        ("metrics", "loss", "min"),
        ("tags", "t"),
        ("results", "acc"),
    ]
)
#: Longer than the clock of a file system ticks, in nanoseconds: two changes within a tick cannot be told apart.
TICK = 25_000_000


def line(kind: str, seq: int, **fields: Any) -> bytes:
    return encode_line({"seq": seq, "time": 1_000.0 + seq, "kind": kind, **fields})


LINES = {
    "params": lambda seq: line("params", seq, params={"lr": seq}),
    "loss": lambda seq: line("metrics", seq, step=seq, metrics={"loss": 1 / (seq + 1)}),
    "tags": lambda seq: line("tags", seq, tags={"t": str(seq)}),
    "result": lambda seq: line("log", seq, level="RESULT", message="r", metrics={"acc": seq}),
    "end": lambda seq: line("end", seq, status="completed", duration=1.0),
    "torn": lambda seq: b'{"seq":9',
    "damaged": lambda seq: line("metrics", seq, metrics={"loss": 0.5})[:-9] + b"\n",
}


def birth(folder: Path, name: str) -> str:
    return json.dumps({"format": 1, "run_id": folder.name, "run_name": name, "start_time": float(len(name))})


def make(folder: Path, count: int) -> None:
    (folder / "journal").mkdir(parents=True)
    (folder / "run.json").write_text(birth(folder, folder.name))
    append(folder / "journal" / "w.000000.jsonl", "loss", count)


def append(path: Path, kind: str, seq: int) -> None:
    with path.open("ab") as file:
        if not file.tell():
            file.write(encode_line({"kind": "segment", "format": 1, "logger": "hand"}))
        file.write(LINES[kind](seq))


def rewrite_in_place(path: Path) -> None:
    """Write as many bytes over a file, as an editor may."""
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.write(data.replace(b"0.5", b"0.1"))


def replace_birth(folder: Path, count: int) -> None:
    (folder / "new").write_text(birth(folder, "n" * (count % 7 + 1)))
    os.replace(folder / "new", folder / "run.json")


def rename_segment(folder: Path, count: int) -> None:
    if segment(folder).exists():
        os.replace(segment(folder), folder / "journal" / f"w.{count % 3:06}.jsonl")


def segment(folder: Path) -> Path:
    return min((folder / "journal").iterdir(), default=folder / "journal" / "w.000000.jsonl")


def swap(folder: Path, count: int) -> None:
    others = [each for each in folder.parent.iterdir() if each != folder]
    if others:
        other = others[count % len(others)]
        away = folder.parent.parent / "away"
        os.replace(folder, away)
        os.replace(other, folder)
        os.replace(away, other)


CHANGES: dict[str, Callable[[Path, int], object]] = {
    **{kind: lambda folder, count, kind=kind: append(segment(folder), kind, count) for kind in LINES},
    "new segment": lambda folder, count: append(folder / "journal" / f"x.{count % 2:06}.jsonl", "loss", count),
    "cut": lambda folder, count: (
        os.truncate(segment(folder), segment(folder).stat().st_size // 2) if segment(folder).exists() else None
    ),
    "in place": lambda folder, count: rewrite_in_place(segment(folder)) if segment(folder).exists() else None,
    "no segment": lambda folder, count: segment(folder).unlink(missing_ok=True),
    "other segment": rename_segment,
    "birth in place": lambda folder, count: (folder / "run.json").write_text(birth(folder, "i" * (count % 9 + 1))),
    "birth replaced": replace_birth,
    "swapped": swap,
    "tag": lambda folder, count: annotate(Run.open(folder), tags={"t": str(count)}),
    "rename": lambda folder, count: annotate(Run.open(folder), name=f"renamed{count}"),
    "rm": lambda folder, count: remove(Run.open(folder)),
    "restore": lambda folder, count: restore(Run.open(folder)),
    "gone": lambda folder, count: shutil.rmtree(folder),
    "new": lambda folder, count: (
        make(folder.parent / f"new{count}", count) if not (folder.parent / f"new{count}").exists() else None
    ),
}


def answers(store: Path) -> list[Any]:
    listing = open_store(store).listing()
    found = values_of(listing.runs, PATHS)
    return [
        [(run.run_id, run.run_name, repr(sorted(values.items()))) for run, values in found.runs],
        [run.run_id for run in listing.removed],
        len(found.unreadable),
    ]


def settle(store: Path) -> None:
    """Wait until a later change of each folder shows."""
    deadline = time.monotonic() + 10
    for folder in store.iterdir():
        while changes_of(str(folder)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.001)


@settings(max_examples=40, deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 2), st.integers(0, 30)), max_size=8))
def test_the_index_answers_as_the_journals_do(changes: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(unchanged, "_UNSETTLED", TICK)
        patch.setattr(unchanged, "_tells", lambda device: True)
        patch.setattr(births, "_MANY", 1)
        store = Path(folder, "experiments")
        for number in range(3):
            make(store / f"run{number}", number)
        for change, which, count in [("loss", 0, 0), *changes]:
            folders = sorted(store.iterdir())
            if folders:
                CHANGES[change](folders[which % len(folders)], count)
            patch.setenv("REFUNC_CACHE", "off")
            wanted = answers(store)
            patch.setenv("REFUNC_CACHE", str(Path(folder, "cache")))
            assert answers(store) == wanted
            settle(store)
            assert answers(store) == wanted
            assert answers(store) == wanted  # the quick way


def test_a_change_within_the_tick_of_a_clock_is_not_trusted(tmp_path: Path) -> None:
    make(tmp_path / "run", 1)

    assert changes_of(str(tmp_path / "run")) is None
    assert changes_of(str(tmp_path / "none")) is None


def test_what_was_seen_by_a_list_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller may keep a run for days, and ask again."""
    monkeypatch.setenv("REFUNC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(unchanged, "_UNSETTLED", TICK)
    monkeypatch.setattr(unchanged, "_tells", lambda device: True)
    monkeypatch.setattr(births, "_MANY", 1)
    store = tmp_path / "experiments"
    make(store / "run0", 0)
    settle(store)
    answers(store)
    answers(store)
    runs = open_store(store).runs()
    assert values_of(runs, frozenset([("tags", "t")])).runs

    annotate(runs[0], tags={"t": "later"})

    [(_, values)] = values_of(runs, frozenset([("tags", "t")])).runs
    assert values == {("tags", "t"): "later"}
