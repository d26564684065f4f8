"""Entries as JSON, JSON lines and CSV: complete or not at all, nothing lost, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.logging import experiment_context
from refunc.runs import LogEntry, open_store
from refunc.runs.entries_file import cell, check_format, export


def entry(message: str = "hello", **fields: Any) -> LogEntry:
    return LogEntry(**{"timestamp": 1.5, "level": "INFO", "message": message, "logger_name": "train", **fields})


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def strict(text: str) -> Any:
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


ENTRIES = [
    entry(step=1, metrics={"loss": 0.1, "lr": 1e-05}, tags={"fold": "1"}),
    entry('zwei, "drei"\nvier; ünf\t\x1b[31m', metrics={"loss": math.nan}, extra={"deep": {"list": [1, math.inf]}}),
    entry(artifacts=["a b.png", "c.png"], metrics={"loss": -math.inf}),
    entry(artifacts=["one.png"], epoch=2, run_id="r"),
]


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_json_round_trips(tmp_path: Path, format: str) -> None:
    count = export(lambda: ENTRIES, tmp_path / "out", format)

    text = (tmp_path / "out").read_text()
    read = strict(text) if format == "json" else [strict(line) for line in text.splitlines()]
    assert count == len(ENTRIES)
    assert read == [strict(item.to_json()) for item in ENTRIES]
    assert [item["metrics"].get("loss") for item in read] == [0.1, None, None, None]
    assert [item["nonfinite"]["/metrics/loss"] for item in read[1:3]] == ["NaN", "-Infinity"]
    assert "nonfinite" not in read[3]


def test_csv_round_trips(tmp_path: Path) -> None:
    count = export(lambda: ENTRIES, tmp_path / "out.csv", "csv")

    rows = table(tmp_path / "out.csv")
    assert count == len(rows) == len(ENTRIES)
    assert [row["message"] for row in rows] == [item.message for item in ENTRIES]
    assert float(rows[0]["timestamp"]) == 1.5
    assert (rows[0]["metrics.loss"], rows[0]["metrics.lr"], rows[0]["tags.fold"]) == ("0.1", "1e-05", "1")
    assert (math.isnan(float(rows[1]["metrics.loss"])), float(rows[2]["metrics.loss"])) == (True, -math.inf)
    assert strict(rows[1]["extra.deep"]) == {"list": [1, "Infinity"]}
    assert (rows[3]["metrics.loss"], rows[3]["step"], rows[3]["epoch"], rows[3]["run_id"]) == ("", "", "2", "r")
    assert (strict(rows[2]["artifacts"]), rows[3]["artifacts"], rows[0]["artifacts"]) == (
        ["a b.png", "c.png"],
        "one.png",
        "",
    )


@pytest.mark.parametrize(("format", "text"), [("json", "[]\n"), ("jsonl", "")])
def test_no_entries_make_a_valid_file(tmp_path: Path, format: str, text: str) -> None:
    assert export(list, tmp_path / "out", format) == 0
    assert (tmp_path / "out").read_text() == text


def test_no_entries_make_a_table_with_a_heading(tmp_path: Path) -> None:
    assert export(list, tmp_path / "out", "csv") == 0
    assert (tmp_path / "out").read_text().startswith("timestamp,level,logger_name,message,")


def unquoted(cell: str) -> str:
    """Return the text of a quoted cell, by the expression in docs/reference/reading.md."""
    return re.sub(r"""\A'(?='*[=+\-@＝＋－＠\t\r\n])|(?<=[;\t\r\n])("*)'(?='*[=+\-@＝＋－＠])""", r"\1", cell)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t1", "\r1", "\n1", "＝1+1", '=HYPERLINK("x")', "'=1"]
)
def test_text_that_a_spreadsheet_would_run_is_quoted_in_csv_only(tmp_path: Path, text: str) -> None:
    entries = [entry(text, tags={"t": text}, extra={"e": text}, artifacts=[text])]

    export(lambda: entries, tmp_path / "out.csv", "csv")
    export(lambda: entries, tmp_path / "out.json", "json")

    (row,) = table(tmp_path / "out.csv")
    assert {row[name] for name in ("message", "tags.t", "extra.e", "artifacts")} == {"'" + text}
    assert strict((tmp_path / "out.json").read_text())[0]["message"] == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a;=cmd|' /C calc'!A0", "a;'=cmd|' /C calc'!A0"),
        ("a;+1+1;-1+1;@x;＝1", "a;'+1+1;'-1+1;'@x;'＝1"),
        ('a;"=1', "a;\"'=1"),
        ("a\t=1\n=2\r=3", "a\t'=1\n'=2\r'=3"),
        ("=1;=2", "'=1;'=2"),
        ("\t=1", "'\t'=1"),
        ("a;'=1", "a;''=1"),
        ("from 1;-0.5;+1e-3", "from 1;-0.5;+1e-3"),
        ("a;b=1; -c, =d", "a;b=1; -c, =d"),
    ],
)
def test_nor_does_one_run_that_begins_cells_at_semicolons_tabs_or_lines(tmp_path: Path, text: str, cell: str) -> None:
    export(lambda: [entry(text, tags={text: text})], tmp_path / "out.csv", "csv")

    (row,) = table(tmp_path / "out.csv")
    *_, column = row
    assert (row["message"], row[column], column) == (cell, cell, f"tags.{cell.lstrip(chr(39))}")


@given(st.text("ab1.;\t\r\n'\"=+-@＝,", max_size=12))
def test_quoted_text_can_be_had_back(text: str) -> None:
    assert unquoted(cell(text)) == text
    assert not re.search(r"""\A[=@＝]|[;\t\r\n]"*[=@＝]""", cell(text))


def test_numbers_are_untouched(tmp_path: Path) -> None:
    export(lambda: [entry(step=-3, metrics={"a": -0.5, "b": -1e-300})], tmp_path / "out.csv", "csv")

    (row,) = table(tmp_path / "out.csv")
    assert (row["step"], row["metrics.a"], row["metrics.b"]) == ("-3", "-0.5", "-1e-300")


@pytest.mark.parametrize("format", ["json", "jsonl", "csv"])
def test_an_export_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path, format: str) -> None:
    target = tmp_path / f"out.{format}"
    target.write_text("old")

    def failing() -> Iterator[LogEntry]:
        yield entry()
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        export(failing, target, format)

    assert (target.read_text(), [path.name for path in tmp_path.iterdir()]) == ("old", [target.name])


@pytest.mark.parametrize("format", ["json", "csv"])
def test_a_text_that_no_encoding_has_is_spelled_out(tmp_path: Path, format: str) -> None:
    export(lambda: [entry("lone \ud800 surrogate")], tmp_path / "out", format)

    assert "\\ud800" in (tmp_path / "out").read_text(encoding="utf-8")


def test_folders_are_made_and_links_followed(tmp_path: Path) -> None:
    export(lambda: [entry()], tmp_path / "new" / "folder" / "out.jsonl", "jsonl")
    (tmp_path / "link").symlink_to("new/folder/out.jsonl")

    export(list, tmp_path / "link", "jsonl")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "new" / "folder" / "out.jsonl").read_text() == ""


def test_a_long_file_name_leaves_room_for_the_draft(tmp_path: Path) -> None:
    assert export(lambda: [entry()], tmp_path / ("n" * 250 + ".json"), "json") == 1


def test_a_pipe_is_written_to_and_never_replaced() -> None:
    """`/dev/stdout` as a target once meant: replace the device by a file."""
    code = "from refunc.runs.entries_file import export; export(lambda: [], '/dev/stdout', 'json')"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (result.stdout, result.returncode) == ("[]\n", 0), result.stderr
    assert not Path("/dev/stdout").is_file() or Path("/dev/stdout").is_symlink()


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        export(lambda: [entry()], tmp_path, "json")


def test_a_run_that_grows_meanwhile_gives_the_table_that_was_counted(tmp_path: Path) -> None:
    reads: list[Iterable[LogEntry]] = [[entry()], [entry(), entry(metrics={"later": 1.0})]]

    count = export(lambda: reads.pop(0), tmp_path / "out.csv", "csv")

    assert count == len(table(tmp_path / "out.csv")) == 1


def test_entries_are_streamed(tmp_path: Path) -> None:
    alive = 0

    def many() -> Iterator[LogEntry]:
        nonlocal alive
        for number in range(1_000):
            draft = next(tmp_path.glob(".*.tmp"))
            alive = max(alive, draft.stat().st_size)
            yield entry(f"{number} " + "x" * 1_000)

    export(many, tmp_path / "out.jsonl", "jsonl")

    assert alive > 500_000  # most of it was on disk before the last entry was asked for


@pytest.mark.parametrize(
    ("path", "format", "found"),
    [
        ("a.json", None, "json"),
        ("a.JSONL", None, "jsonl"),
        ("a.csv", None, "csv"),
        ("a", None, "json"),
        ("a.txt", "CSV", "csv"),
    ],
)
def test_the_format_is_the_argument_or_the_suffix(path: str, format: str | None, found: str) -> None:
    assert check_format(path, format) == found


@pytest.mark.parametrize(("path", "format"), [("a.xlsx", None), ("a.json", "parquet")])
def test_another_format_is_an_error_that_lists_the_allowed_ones(path: str, format: str | None) -> None:
    with pytest.raises(ValueError, match="Allowed: json, jsonl, csv"):
        check_format(path, format)


def test_a_whole_run_exports_as_every_format(tmp_path: Path) -> None:
    with experiment_context("images", "resnet", parameters={"lr": 0.1}) as tracker:
        for step in range(10):
            tracker.log_metrics({"loss": 1 / (step + 1)}, step=step)
    run = open_store()["resnet"]

    counts = {kind: export(run.entries, tmp_path / f"out.{kind}", kind) for kind in ("json", "jsonl", "csv")}

    assert set(counts.values()) == {len(list(run.entries()))}
    losses = [row["metrics.loss"] for row in table(tmp_path / "out.csv") if row["level"] == "METRIC"]
    assert [float(loss) for loss in losses] == [1 / (step + 1) for step in range(10)]
    assert os.listdir(tmp_path / "experiments") == [run.folder.name]
