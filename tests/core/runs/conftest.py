"""Runs to read: written by hand, line by line, or by a process of its own that can be killed."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.trainings import Training

from refunc.journal.codec import encode_line
from refunc.journal.reader import METRICS_MARK, read_backwards, read_journal
from refunc.runs.gathered import Content
from refunc.runs.index.contents import load
from refunc.runs.index.file import index_of
from refunc.runs.line_records import records_without_metrics
from refunc.runs.read_on import read_content


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Training]:
    """Start a training that has a run open in `./experiments`, with one point."""
    found = Training.start(tmp_path / "experiments")
    found.tell("tracker.log_metrics({'loss': 0.5}, step=1); tracker.flush()")
    yield found
    found.close()


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a run by hand: `write_run("name", lines=[{...}], run_id=…, others={"child": [{...}]})`."""

    def write(
        folder: str | Path,
        lines: list[dict[str, Any] | bytes] | None = None,
        others: dict[str, list[dict[str, Any] | bytes]] | None = None,
        **birth: Any,
    ) -> Path:
        path = tmp_path / "experiments" / folder
        journal = path / "journal"
        journal.mkdir(parents=True)
        known = {"format": 1, "run_id": path.name[-8:], "run_name": path.name, "start_time": 1_000.0}
        (path / "run.json").write_text(json.dumps({**known, "experiment_name": "by-hand", **birth}))
        for writer, records in {"main": lines or [], **(others or {})}.items():
            data = [{"kind": "segment", "format": 1, "logger": "hand"}, *numbered(records)]
            raw = b"".join(line if isinstance(line, bytes) else encode_line(line) for line in data)
            (journal / f"{writer}.000000.jsonl").write_bytes(raw)
        return path

    def numbered(records: list[dict[str, Any] | bytes]) -> Iterator[dict[str, Any] | bytes]:
        for seq, line in enumerate(records):
            yield line if isinstance(line, bytes) else {"seq": seq, "time": 1_001.0 + seq, **line}

    return write


@pytest.fixture
def contents() -> Callable[[Path], dict[str, tuple[int, bytes]]]:
    """Return the contents of a folder, with the time of each change, to compare before and after."""

    def look(folder: Path) -> dict[str, tuple[int, bytes]]:
        found = {}
        for path in sorted(folder.rglob("*")):
            data = path.read_bytes() if path.is_file() else os.fsencode(repr(sorted(os.listdir(path))))
            found[str(path)] = (path.lstat().st_mtime_ns, data)
        return found

    return look


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test an index of its own."""
    monkeypatch.setenv("REFUNC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Indexing:
    """Compares the answers of the index with those of the journals."""

    @staticmethod
    def answers(content: Content) -> dict[str, Any]:
        """Return all that *content* says, such that it can be compared; means to a few digits less."""
        summary = content.summary
        metrics = {}
        for name, metric in summary.metrics.items():
            mean = metric.mean if metric.mean is None or not math.isfinite(metric.mean) else f"{metric.mean:.9g}"
            metrics[name] = repr({**attrs.asdict(metric), "mean": mean})
        series = {name: repr(found.to_dict()) for name, found in content.series(summary.metrics).items()}
        return {"summary": repr(attrs.evolve(summary, metrics={})), "metrics": metrics, "series": series}

    @staticmethod
    def check(folder: Path, processes: int = 0) -> Content:
        """Return the content of *folder* after comparing the answers of the index with those of the journal."""
        found = read_content(folder, processes=processes)
        assert Indexing.answers(found) == Indexing.answers(read_content(folder, cached=False))
        for read, newest_first in ((read_journal, False), (read_backwards, True)):
            others = [*read(folder, pass_over=METRICS_MARK)]
            assert repr([*records_without_metrics(folder, newest_first=newest_first)]) == repr(others)
        return found

    @staticmethod
    def is_indexed(folder: Path) -> bool:
        store = index_of(folder)
        known = load(store, folder) if store else None
        return known is not None and known.is_whole

    @staticmethod
    def metrics(*steps: int, name: str = "loss") -> list[dict[str, Any]]:
        return [{"kind": "metrics", "step": step, "metrics": {name: 1 / (1 + step)}} for step in steps]


@pytest.fixture(scope="session")
def indexing() -> type[Indexing]:
    return Indexing
