"""Blocks that have metrics only are passed over, and nothing else is, however a line looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from refunc.journal import reader
from refunc.journal.codec import encode_line
from refunc.journal.reader import METRICS_MARK, read_backwards, read_journal

METRIC: dict[str, Any] = {"kind": "metrics", "metrics": {"loss": 0.5}}


def _lines(count: int) -> list[dict[str, Any]]:
    """Return metrics, and now and then a line that looks like them, or has many marks in its texts."""
    marks = {"kind": "metrics", "again": [{"kind": "metrics"}]}
    rare: dict[int, dict[str, Any]] = {
        7: {"kind": "log", "level": "INFO", "message": "first"},
        400: {"kind": "log", "level": "INFO", "message": '"kind":"metrics"' * 3},
        401: {"kind": "log", "level": "INFO", "message": "extra", "extra": marks},
        count - 1: {"kind": "log", "level": "INFO", "message": "last"},
    }
    return [{"seq": seq, "time": 1.0 + seq, **rare.get(seq, METRIC)} for seq in range(count)]


@pytest.mark.parametrize("size", [200, 4_096, 1 << 18])
def test_no_line_is_passed_over_with_the_metrics_around_it(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_PASSED_BYTES", size)
    monkeypatch.setattr(reader, "_LEAST_BLOCK_BYTES", min(size, 1 << 12))
    (tmp_path / "journal").mkdir()
    header = {"kind": "segment", "format": 1, "logger": "hand"}
    for part, lines in enumerate((_lines(1_000)[:600], _lines(1_000)[600:])):
        data = b"".join(map(encode_line, [header, *lines]))
        (tmp_path / "journal" / f"main.{part:06}.jsonl").write_bytes(data + b'{"torn' * part)

    forwards = [record.seq for record in read_journal(tmp_path, pass_over=METRICS_MARK)]
    backwards = [record.seq for record in read_backwards(tmp_path, pass_over=METRICS_MARK)]

    assert forwards == [7, 400, 401, 999] == backwards[::-1]
    assert len(list(read_journal(tmp_path))) == 1_000
