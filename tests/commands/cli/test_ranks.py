"""Runs of several ranks and attempts on the command line: whose lines and curves, and who took part."""

from __future__ import annotations

import csv
import json
import os
import pickle
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from tests.ranked import RUN_ID, START, ranked

from refunc.logging import ExperimentTracker
from refunc.outlets.locks import lock
from refunc.processes.opener import facts_of_this_process
from refunc.runs import LogEntry, Run
from refunc.runs.points_file import COLUMNS
from refunc.values.moments import moment_text

pytestmark = [pytest.mark.once, pytest.mark.extras]


def lines(result: Any) -> list[str]:
    assert (result.exit_code, result.stderr) == (0, "")
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


# -- log lines --------------------------------------------------------------------------------------------------------


def test_lines_of_other_ranks_are_marked(invoke: Any) -> None:
    ranked()

    said = lines(invoke("logs", "resnet"))

    assert sum("train line of rank 0" in line for line in said) == 2
    for rank in (1, 2, 3):
        assert sum(f"train [rank {rank}] line of rank {rank}" in line for line in said) == 2
    assert sum("WARNING train [rank 3] careful" in line for line in said) == 2
    assert len(said) == 10


def test_lines_of_one_rank(invoke: Any) -> None:
    ranked()

    assert [line.split("] ")[1] for line in lines(invoke("logs", "resnet", "--rank", "3", "--level", "WARNING"))] == [
        *("careful", "careful")
    ]
    assert len(lines(invoke("logs", "resnet", "--rank", "0"))) == 2
    assert len(lines(invoke("tail", "resnet", "--rank", "1", "-n", "1"))) == 1


def test_start_and_rewind_of_attempts_read_as_sentences(invoke: Any) -> None:
    ranked(ranks=2)

    said = "\n".join(lines(invoke("logs", "resnet", "--all")))

    assert said.count("run started") == 2
    assert "[rank 1] run started" in said
    assert said.count("run continued: attempt 2") == 2
    assert said.count("went back to step 9") == 2


def test_an_entry_has_the_rank_and_attempt_of_its_process(invoke: Any) -> None:
    ranked(ranks=2)

    entries = [LogEntry.from_json(line) for line in invoke("logs", "resnet", "--all", "--json").stdout.splitlines()]

    assert {(entry.rank, entry.attempt) for entry in entries} == {(0, 1), (0, 2), (1, 1), (1, 2)}
    assert all(LogEntry.from_json(entry.to_json()) == entry for entry in entries)
    written = [json.loads(entry.to_json()) for entry in entries]
    assert {each["rank"] for each in written} == {0, 1}
    assert {each.get("attempt", 1) for each in written} == {1, 2}


def test_exported_entries_have_columns_for_both(invoke: Any) -> None:
    ranked(ranks=2)
    assert invoke("export", "resnet", "--entries", "-o", "entries.csv").exit_code == 0

    rows = list(csv.DictReader(StringIO(Path("entries.csv").read_text())))
    assert list(rows[0])[9:11] == ["rank", "attempt"]
    assert {(row["rank"], row["attempt"]) for row in rows} == {("0", "1"), ("0", "2"), ("1", "1"), ("1", "2")}


@pytest.mark.parametrize("command", [("logs",), ("tail",)])
def test_a_rank_that_is_not_there_is_refused(invoke: Any, command: tuple[str, ...]) -> None:
    ranked()
    result = invoke(*command, "resnet", "--rank", "7")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "refunc: run resnet has no rank 7. Its ranks are 0-3.\n"
    result = invoke(*command, "resnet", "--rank", "first")
    assert result.exit_code == 2
    assert "'first' is not a rank. Allowed: a number." in result.stderr


# -- curves -----------------------------------------------------------------------------------------------------------


def exported(invoke: Any, *options: str) -> list[dict[str, str]]:
    assert invoke("export", "resnet", "-o", "points.csv", *options).exit_code == 0
    return list(csv.DictReader(StringIO(Path("points.csv").read_text())))


def test_export_writes_the_usual_curve_unless_asked(invoke: Any) -> None:
    ranked()

    rows = exported(invoke)

    assert list(rows[0]) == list(COLUMNS)
    assert [(row["step"], row["value"]) for row in rows] == [
        *((str(step), "100.0") for step in range(10)),
        *((str(step), "200.0") for step in range(10, 20)),
    ]
    assert {row["value"] for row in exported(invoke, "--rank", "3")} == {"103.0", "203.0"}
    assert {row["value"] for row in exported(invoke, "--rank", "mean")} == {"101.5", "201.5"}
    assert list(exported(invoke, "--rank", "max")[0]) == list(COLUMNS)


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet"])
def test_export_of_all_has_columns_for_rank_and_attempt(invoke: Any, form: str) -> None:
    ranked()
    if form == "parquet":
        pytest.importorskip("pyarrow")

    assert invoke("export", "resnet", "--rank", "all", "--attempts", "all", "-o", f"points.{form}").exit_code == 0

    rows = read_back(Path(f"points.{form}"))
    assert list(rows[0]) == [*COLUMNS, "rank", "attempt"]
    assert len(rows) == 4 * (15 + 10)
    assert all(float(row["value"]) == 100 * int(row["attempt"]) + int(row["rank"]) for row in rows)
    assert {(int(row["attempt"]), int(row["step"])) for row in rows} == {
        *((1, step) for step in range(15)),
        *((2, step) for step in range(10, 20)),
    }


def read_back(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return list(pyarrow.parquet.read_table(path).to_pylist())
    text = path.read_text()
    if path.suffix == ".csv":
        return list(csv.DictReader(StringIO(text)))
    return list(json.loads(text) if path.suffix == ".json" else map(json.loads, text.splitlines()))


def test_a_run_without_ranks_has_rank_0(invoke: Any) -> None:
    with ExperimentTracker("vision", "resnet") as tracker:
        tracker.log_metrics({"loss": 0.5}, step=1)
    rows = exported(invoke, "--rank", "all", "--attempts", "all")
    assert [(row["rank"], row["attempt"], row["value"]) for row in rows] == [("0", "1", "0.5")]


def test_entries_are_those_of_all_ranks(invoke: Any) -> None:
    ranked()
    result = invoke("export", "resnet", "--entries", "--to", "csv", "--rank", "3")
    assert result.exit_code == 2
    assert result.stderr == (
        "refunc: -m, --rank, --attempts and --max-points choose points. Leave them out, or --entries; "
        "see `refunc logs --rank`.\n"
    )


def test_plot_draws_a_rank_or_one_curve_each(invoke: Any) -> None:
    ranked()

    each = lines(invoke("plot", "resnet", "-m", "loss", "--rank", "all"))
    assert [line.split(RUN_ID)[1] for line in each if RUN_ID in line] == [
        f" rank {rank} 20 points, last {200 + rank}" for rank in range(4)
    ]
    [mean] = [line for line in lines(invoke("plot", "resnet", "-m", "loss", "--rank", "mean")) if RUN_ID in line]
    assert mean.endswith("mean of all ranks 20 points, last 201.5")
    [drawn] = json.loads(invoke("plot", "resnet", "-m", "loss", "--rank", "2", "--json").stdout)
    assert (drawn["rank"], drawn["values"][-1]) == (2, 202.0)
    [usual] = json.loads(invoke("plot", "resnet", "-m", "loss", "--json").stdout)
    assert ("rank" in usual, usual["values"][-1]) == (False, 200.0)


def test_a_report_has_the_curves_of_one_rank_and_the_lines_of_all(invoke: Any) -> None:
    ranked()

    assert invoke("report", "resnet", "--rank", "3").exit_code == 0

    page = Path("report.html").read_text()
    assert "resnet (rank 3)" in page
    assert "[rank 1] line of rank 1" in page
    assert "203" in page
    assert invoke("report", "resnet", "--rank", "7").stderr == (
        "refunc: run resnet has no rank 7. Its ranks are 0-3.\n"
    )


def test_tables_of_a_series_have_columns_for_rank_and_attempt() -> None:
    pytest.importorskip("pandas")
    run = Run.open(ranked())

    every = run.metrics("loss", rank="all", attempts="all")
    frame = every.to_pandas()

    assert list(frame.columns) == ["step", "value", "time", "rank", "attempt"]
    assert (frame["value"] == 100 * frame["attempt"] + frame["rank"]).all()
    assert list(every.to_dict()) == list(frame.columns) == every.to_polars().columns == every.to_arrow().column_names
    assert every.downsample(10).to_dict()["rank"]
    assert pickle.loads(pickle.dumps(every)).to_dict() == every.to_dict()
    assert list(run.metrics("loss", rank="all").to_dict()) == ["step", "value", "time", "rank"]
    assert list(run.metrics("loss", rank=3).to_dict()) == ["step", "value", "time"]
    assert run.metric_summaries(rank=3)["loss"].last == 203.0
    assert run.metric_summaries(rank="all", attempts="all")["loss"].count == 100


def test_around_leaves_out_what_a_later_attempt_has_replaced() -> None:
    run = Run.open(ranked(ranks=2))

    entries = run.around("loss", 11, steps=3)

    of_rank_0 = [entry for entry in entries if entry.rank == 0]
    assert [(entry.step, entry.attempt) for entry in of_rank_0 if entry.level == "METRIC"] == [
        *((8, 1), (9, 1), (10, 2), (11, 2), (12, 2), (13, 2), (14, 2))
    ]
    assert "line of rank 0 in attempt 1" not in [entry.message for entry in entries]
    assert {entry.rank for entry in entries} == {0, 1}


# -- who took part ----------------------------------------------------------------------------------------------------


def section(result: Any, title: str) -> list[str]:
    """Return the lines of a section of `refunc show`."""
    said = lines(result)
    start = next(at for at, line in enumerate(said) if line.split("  ")[0].split(" (")[0] == title)
    return said[start + 1 : said.index("", start)] if "" in said[start:] else said[start + 1 :]


def test_show_has_a_line_for_the_ranks_of_a_host(invoke: Any) -> None:
    ranked()

    result = invoke("show", "resnet")

    assert section(result, "ranks") == [
        "host status points lines",
        "0-1 node0 completed 25 each 2 each",
        "2-3 node1 completed 25 each 2-4",
    ]
    assert section(result, "attempts") == [
        f"1 {moment_text(START)}",
        f"2 {moment_text(START + 1_000)} from step 9",
    ]
    each = section(invoke("show", "resnet", "--all-ranks"), "ranks")
    assert each[1:] == [f"{rank} node{rank // 2} completed 25 {4 if rank == 3 else 2}" for rank in range(4)]


def test_show_is_short_for_many_ranks_and_attempts(invoke: Any) -> None:
    folder = ranked(ranks=64, attempts=1)
    assert section(invoke("show", "resnet"), "ranks")[1:] == ["0-63 32 hosts completed 15 each 1-2"]
    assert len(section(invoke("show", "resnet", "--all-ranks"), "ranks")) == 65
    for attempt in range(2, 200):
        (folder / "ranks" / f"{attempt}.0.json").write_text(json.dumps({"time": START + attempt}))
    attempts = section(invoke("show", "resnet"), "attempts")
    assert [line.split()[0] for line in attempts] == ["1", "191", *map(str, range(193, 200))]
    assert attempts[1] == "191 more; --json has them all"


def test_show_tells_a_rank_that_is_gone_without_an_end(invoke: Any) -> None:
    folder = ranked(ranks=2, attempts=1)
    path = next((folder / "journal").glob("*_r1.*"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    opened_by = facts_of_this_process(folder.stat().st_dev)
    for file in (folder / "ranks").iterdir():
        file.write_text(json.dumps({**json.loads(file.read_text()), "opened_by": {**opened_by, "pid": 1, "began": 0}}))

    result = invoke("show", "resnet")

    assert "status crashed" in lines(result)
    assert [line.split()[:3] for line in section(result, "ranks")[1:]] == [
        ["0", "node0", "completed"],
        ["1", "node0", "crashed"],
    ]


@pytest.mark.parametrize(
    ("rank", "last", "note"),
    [
        ("3", "203", "rank 3"),
        ("mean", "201.5", "mean of all ranks"),
        ("all", "203", "all ranks"),
        ("0", "200", "rank 0"),
    ],
)
def test_show_has_the_metrics_of_the_rank_that_is_asked_for(invoke: Any, rank: str, last: str, note: str) -> None:
    ranked()

    result = invoke("show", "resnet", "--rank", rank)

    assert f"metrics ({note})" in lines(result)
    [loss] = [line for line in section(result, "metrics") if line.startswith("loss")]
    assert loss.split()[1] == last
    assert json.loads(invoke("show", "resnet", "--rank", rank, "--json").stdout)["metrics"]["loss"]["last"] == float(
        last
    )


def test_json_has_the_ranks_attempts_and_writers(invoke: Any) -> None:
    ranked(ranks=2)

    run = json.loads(invoke("show", "resnet", "--json").stdout)

    assert run["attempt"] == 2
    assert run["attempts"] == [
        {"attempt": 1, "start_time": START, "step": None, "ranks": 2},
        {"attempt": 2, "start_time": START + 1_000, "step": 9, "ranks": 2},
    ]
    assert run["ranks"][1] == {
        "rank": 1,
        "attempt": 2,
        "host": "node0",
        "pid": 101,
        "status": "completed",
        "points": 25,
        "lines": 2,
        "error": None,
    }
    assert [(each["rank"], each["attempt"], each["points"]) for each in run["writers"]] == [
        *((0, 1, 15), (1, 1, 15), (0, 2, 10), (1, 2, 10))
    ]


def test_ls_names_the_ranks_and_attempts_of_a_run_that_has_several(invoke: Any) -> None:
    ranked()
    with ExperimentTracker("vision", "plain") as tracker:
        tracker.log_metrics({"loss": 0.5}, step=1)

    listed = lines(invoke("ls"))
    fields = {each["run_name"]: each for each in json.loads(invoke("ls", "--json").stdout)}

    assert [line for line in listed if "completed resnet (4 ranks, attempt 2) vision" in line and "loss=200" in line]
    assert [line for line in listed if "completed plain vision" in line]
    assert (fields["resnet"]["ranks"], fields["resnet"]["attempt"]) == (4, 2)
    assert not {"ranks", "attempt"} & set(fields["plain"])


def test_gc_keeps_a_run_while_one_rank_lives(invoke: Any) -> None:
    folder = ranked(ranks=2, attempts=1)
    path = next((folder / "journal").glob("*_r1.*"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    opened_by = facts_of_this_process(folder.stat().st_dev)
    for file in (folder / "ranks").iterdir():
        file.write_text(json.dumps({**json.loads(file.read_text()), "opened_by": opened_by}))

    def removed() -> list[str]:
        result = invoke("gc", "--older-than", "0s", "--delete", "--yes", "--json")
        return [piece["path"] for piece in json.loads(result.stdout)["removed"]]

    held = os.open(folder / "ranks" / "1.1.json", os.O_RDONLY)
    try:
        assert lock(held)
        assert removed() == []
    finally:
        os.close(held)
    assert removed() == [str(folder.absolute())]
