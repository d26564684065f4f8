"""Runs of several ranks and attempts on the command line: whose lines and curves, and who took part."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from tests.ranked import ranked

from refunc.runs import LogEntry

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
