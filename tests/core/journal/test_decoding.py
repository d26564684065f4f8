"""Lines decoded at once are the same as lines decoded one by one, by any writer."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from refunc.journal import scan, tail
from refunc.journal.codec import MAX_VALUES, encode_line, seal
from refunc.journal.codec_many import decode_metrics, runs_of
from refunc.journal.pieces import Segment
from refunc.journal.record import Metrics
from refunc.journal.scan import Note, PointLine, ReadPosition
from refunc.journal.tail import Tail

#: Texts of JSON, as a writer would never put them there, beside those that it does.
_VALUES = st.sampled_from(
    """0 1 7 -1 1.0 1e3 1E400 0.5 -0.0 9223372036854775807 9223372036854775808 1e19 123456789012345678901234567890 true
    null "" "x" "metrics" "log" "caf\\u00e9" "\\ud800" {} [] [1] {"a":1} {"a":{"a":1}} {"a":null} {"kind":"metrics"}
    {"loss":0.5} {"loss":0.5,"loss":1} {"seq":1} {"writer":"x"} {"/metrics/a":"NaN"} {"a":"NaN"}
    {"k\\u0069nd":1}""".split()
)
_NAMES = st.sampled_from(
    ["seq", "time", "kind", "step", "epoch", "auto", "metrics", "other", "logger", "writer", "nonfinite", "crc", "k"]
)
_FORGED = st.lists(st.tuples(_NAMES, _VALUES), max_size=8)


def plain(seq: int, **fields: Any) -> bytes:
    return encode_line({"seq": seq, "time": 1.5, "kind": "metrics", "metrics": {"loss": 0.5}, **fields})


def forged(seq: int, members: list[tuple[str, str]]) -> bytes:
    first = [("seq", str(seq)), ("time", "1.5"), ("kind", '"metrics"'), ("metrics", '{"loss":0.5}')]
    body = ",".join(f'"{name}":{value}' for name, value in [*first, *members])
    return seal(b"{%b}" % body.encode())


def both(folder: Path, data: bytes, limit: int) -> list[Any]:
    """Return the windows that `Tail` reads of *data*, with and without decoding several lines at once."""
    (folder / "journal").mkdir(exist_ok=True)
    (folder / "journal" / "w.000000.jsonl").write_bytes(data)
    found = []
    for decode in (decode_metrics, lambda *_: None):
        with mock.patch.object(tail, "decode_metrics", decode):
            reader = Tail(folder)
            windows: list[Any] = []
            while window := reader.read(limit):
                windows.append((window, [type(record) for record in window], dict(reader.positions)))
            found.append([*windows, dict(reader.positions)])
    return found


def scanned(path: Path) -> tuple[list[Any], Any]:
    """Return the records that `scan` reads of *path*, points of any kind as tuples, and the account of them."""
    position, found = ReadPosition(), list[Any]()
    for block in scan.scan("w", [Segment.at(path)], position):
        for item in block:
            found += [item.record] if isinstance(item, Note) else item
    return [_point(item) if isinstance(item, (PointLine, Metrics)) else item for item in found], position.account


def _point(item: PointLine | Metrics) -> Any:
    values = {name: math.nan if value is None else float(value) for name, value in item.metrics.items()}
    other = item.other if isinstance(item, Metrics) else {}
    return item.seq, item.time, item.step, item.epoch, values, other


@pytest.mark.parametrize("number", ["1E400", "-1e+0400", "1" + 400 * "0" + ".0", "1" + 400 * "0"])
@pytest.mark.parametrize("name", ["k", "crc", "other", "epoch"])
def test_a_number_that_is_too_large_costs_no_line_beside_it(tmp_path: Path, number: str, name: str) -> None:
    """In a member that nothing reads, it cost its line if that was decoded alone."""
    value = f'{{"a":{number}}}' if name == "other" else number
    lines = [plain(seq) if seq != 3 else forged(seq, [(name, value)]) for seq in range(6)]

    at_once, one_by_one = both(tmp_path, encode_line({"kind": "segment", "logger": "train"}) + b"".join(lines), 10)

    assert repr(at_once) == repr(one_by_one)
    assert {record.seq for record in at_once[0][0]} >= {0, 1, 2, 4, 5} | ({3} if name in ("k", "crc") else set())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.none(), _FORGED), max_size=12), st.data())
def test_whatever_stands_in_a_line_it_reads_as_it_does_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: list[list[tuple[str, str]] | None], data: st.DataObject
) -> None:
    lines = [plain(seq) if members is None else forged(seq, members) for seq, members in enumerate(kinds)]
    content = encode_line({"kind": "segment", "logger": "train"}) + b"".join(lines)
    if data.draw(st.booleans()):  # damage
        at = data.draw(st.integers(0, len(content) - 1))
        content = content[:at] + data.draw(st.binary(max_size=2)) + content[at + 1 :]

    at_once, one_by_one = both(tmp_path, content, data.draw(st.sampled_from([1, 3, 5, 1_000])))

    assert repr(at_once) == repr(one_by_one)  # NaN is itself there
    points = repr(scanned(tmp_path / "journal" / "w.000000.jsonl"))
    monkeypatch.setattr(scan, "_points_in", lambda _: None)
    assert repr(scanned(tmp_path / "journal" / "w.000000.jsonl")) == points
    monkeypatch.setattr(scan, "_point_in", lambda _: None)
    assert repr(scanned(tmp_path / "journal" / "w.000000.jsonl")) == points
    monkeypatch.undo()


@given(st.lists(_FORGED, min_size=1, max_size=6))
@example([[]])
def test_of_lines_it_gives_all_or_nothing(members: list[list[tuple[str, str]]]) -> None:
    lines = [forged(seq, each)[:-1] for seq, each in enumerate(members)]
    for is_metrics, run in runs_of([*lines, *lines, *lines, *lines]):
        records = decode_metrics(run, "w", "train") if is_metrics else None
        if records is not None:
            assert [type(record) for record in records] == [Metrics] * len(run)
            assert {record.writer for record in records} == {"w"}


def test_what_a_writer_writes_is_decoded_at_once() -> None:
    lines = [plain(0, step=3), plain(1, epoch=2), plain(2, step=3, auto=True), plain(3, logger="other")]

    records = decode_metrics([line[:-1] for line in lines], "w", "train")

    common: dict[str, Any] = {"time": 1.5, "writer": "w", "metrics": {"loss": 0.5}}
    assert records == [
        Metrics(seq=0, logger="train", step=3, **common),
        Metrics(seq=1, logger="train", epoch=2, **common),
        Metrics(seq=2, logger="train", step=3, auto=True, **common),
        Metrics(seq=3, logger="other", **common),
    ]
    assert len({id(record.other) for record in records}) == 4


@pytest.mark.parametrize(
    "line",
    [
        plain(1, metrics={"loss": float("nan")}),
        plain(1, other={"a": 1}),
        plain(1, metrics={"größe": 1.0}),
        plain(1, metrics={f"m{n}": 1.0 for n in range(MAX_VALUES // 10)}),
        plain(1, writer="x"),
        plain(1).replace(b"0.5", b"0.6"),
        b" " + plain(1),
        seal(b'{"time":1.5,"kind":"metrics","metrics":{"seq":1}}'),
        seal(b'{"seq":1,"time":1.5,"metrics":{"kind":"metrics"}}'),
        seal(b'{"seq":1,"time":1.5,"kind":"metrics","kind":"log","metrics":{}}'),
        seal(json.dumps({"seq": 1, "time": 1.5, "kind": "metrics", "metrics": {"a": "b"}}).encode()),
    ],
)
def test_a_line_to_be_looked_at_alone_leaves_the_others_to_it(line: bytes) -> None:
    lines = [plain(0), plain(1), line, plain(2)]

    assert decode_metrics([each[:-1] for each in lines], "w", "train") is None


def test_a_kind_that_stands_twice_hides_no_line_without() -> None:
    twice = seal(b'{"seq":1,"time":1.5,"kind":"metrics","kind":"metrics","metrics":{}}')[:-1]
    log = encode_line({"seq": 9, "time": 1.5, "kind": "log", "level": "INFO", "message": "m"})[:-1]

    for other in (b"", log):
        for is_metrics, run in runs_of([plain(0)[:-1], twice, other, *[plain(2)[:-1]] * 4]):
            assert decode_metrics(run, "w", "train") is None or (is_metrics and other not in run)


def test_lines_between_metrics_divide_them_and_keep_the_order() -> None:
    log = encode_line({"seq": 9, "time": 1.5, "kind": "log", "level": "INFO", "message": '"kind":"metrics"'})
    metrics = plain(0)

    assert list(runs_of([log, *[metrics] * 5, log, log, metrics])) == [
        (False, [log]),
        (True, [metrics] * 5),
        (False, [log, log]),
        (False, [metrics]),
    ]
