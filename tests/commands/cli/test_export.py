"""`refunc export`: points and entries of runs as files."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.commands.cli.trained import HOSTILE, make

from refunc.logging import ExperimentTracker
from refunc.values.printable import printable_line

pytestmark = [pytest.mark.once, pytest.mark.extras]


def test_all_runs_of_the_store_are_exported(invoke: Any, own_folder: Path) -> None:
    make("one", 0.1, 0.5, 0.4)
    make("two", 0.1, 0.6)

    result = invoke("export", "-o", "all.csv")

    with open("all.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run_name"], row["value"]) for row in rows] == [("one", "0.5"), ("one", "0.4"), ("two", "0.6")]
    assert result.stdout.startswith("3 points of 2 runs: all.csv (")


def test_runs_can_be_named_or_chosen(invoke: Any) -> None:
    make("one", 0.1, 0.5)
    make("two", 0.01, 0.6)

    for arguments in (["two"], ["--where", "params.lr < 0.05"], ["one", "two", "--where", "params.lr < 0.05"]):
        invoke("export", *arguments, "-o", "some.jsonl", "-m", "loss")
        (row,) = map(json.loads, Path("some.jsonl").read_text().splitlines())
        assert row["run_name"] == "two"


def test_entries_are_exported_as_export_logs_does(invoke: Any) -> None:
    make("one", 0.1, 0.5)

    invoke("export", "one", "--entries", "--to", "json")

    entries = json.loads(Path("entries.json").read_text())
    assert [entry["message"] for entry in entries][-1] == "run ended: completed"


def test_stdout_takes_the_file(own_folder: Path) -> None:
    make("one", 0.1, 0.5)
    command = [sys.executable, "-m", "refunc", "export", "--to"]

    text = subprocess.run([*command, "csv", "-o", "-"], capture_output=True, text=True)
    data = subprocess.run([*command, "parquet", "-o", "-"], capture_output=True)

    assert len(list(csv.DictReader(io.StringIO(text.stdout)))) == 1
    assert (text.stderr, data.stderr) == ("", b"")
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(pyarrow.BufferReader(data.stdout)).num_rows == 1


@pytest.mark.parametrize("options", [[], ["--entries"]])
@pytest.mark.parametrize("format", ["csv", "jsonl", "json"])
def test_an_export_acts_on_no_terminal_and_a_pipe_gets_it_as_it_is(
    options: list[str], format: str, in_terminal: Any
) -> None:
    with ExperimentTracker("images", "odd") as tracker:
        tracker.log_metrics({f"{HOSTILE}\t\x7f\x9b2J": 1.0}, step=1)
    command = ["export", "odd", *options, "--to", format, "-o", "-"]

    shown = in_terminal(*command)
    piped = subprocess.run([sys.executable, "-m", "refunc", *command], capture_output=True).stdout.decode()

    assert not {"\x1b", "\u202e"} & set(shown)
    assert shown.split("\n") == [printable_line(line) for line in piped.replace("\r\n", "\n").split("\n")]
    assert (HOSTILE in piped) == (format == "csv")  # JSON is in ASCII


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "none of the 2 runs has points"),
        (["plain"], "the run has no points"),
        (["--rank", "3"], "none of the 2 runs has points of rank 3"),
        (["--where", "duration >= 0"], "none of the 2 runs has points"),
    ],
)
def test_an_export_of_nothing_has_the_columns_and_says_why_it_is_empty(
    options: list[str], why: str, invoke: Any, own_folder: Path
) -> None:
    for name in ("plain", "other"):
        with ExperimentTracker("images", name) as tracker:
            tracker.log_hyperparams({"lr": 0.1})

    for more in ([], ["--json"]):
        result = invoke("export", *options, *more, "-o", "x.csv")

        assert (result.exit_code, result.stderr) == (0, f"refunc: there is nothing to export: {why}\n")
        assert (own_folder / "x.csv").read_text() == "run_id,run_name,experiment_name,metric,step,epoch,time,value\n"
    assert invoke("export", *options, "--to", "csv", "-o", "-").stderr == result.stderr
    assert invoke("export", *options, "-o", "x.csv").stdout.startswith("0 points of ")


def test_an_export_of_a_store_without_runs_says_so(invoke: Any, own_folder: Path) -> None:
    (own_folder / "experiments").mkdir()

    points, entries = invoke("export", "-o", "x.csv"), invoke("export", "--entries", "-o", "y.csv")

    assert points.stderr == entries.stderr == "refunc: there is nothing to export: no runs\n"
    assert (points.exit_code, entries.exit_code) == (0, 0)
    assert (own_folder / "x.csv").read_text().startswith("run_id,")


def test_what_was_exported_is_told_as_json(invoke: Any, own_folder: Path) -> None:
    ids = [make("one", 0.1, 0.5, 0.4), make("two", 0.2, 0.5)]

    said = json.loads(invoke("export", "--to", "jsonl", "--json").stdout)

    file = own_folder / "points.jsonl"
    assert said == {"file": str(file), "format": "jsonl", "bytes": file.stat().st_size, "points": 3, "runs": ids}
    assert "the export itself goes to stdout" in invoke("export", "--to", "csv", "-o", "-", "--json").stderr


def test_parquet_without_its_package_says_what_goes_without(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make("one", 0.1, 0.5)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    result = invoke("export", "-o", "points.parquet")

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "(pip install pyarrow). The formats csv, jsonl and json work without it." in result.stderr
