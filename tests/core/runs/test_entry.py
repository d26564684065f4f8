"""Log entries: how each kind of record reads, and entries as plain values and as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from refunc.journal import record as records
from refunc.logging import ExperimentTracker
from refunc.runs import ExperimentContext, LogEntry, Run
from refunc.runs.entry import column_names, entry_of
from refunc.values.jsonable import jsonable
from refunc.values.texts import text


def entry(record: records.Record) -> LogEntry:
    return entry_of(record, experiment_id="e", run_id="r")


def test_a_log_line_keeps_everything_that_the_call_passed() -> None:
    line = records.LogLine(
        time=5.0,
        logger="train",
        level="INFO",
        message="hello",
        step=3,
        epoch=1,
        metrics={"loss": 0.5},
        other={"note": "x"},
        tags={"a": "b"},
        artifacts=["m.pt"],
        extra={"k": 1},
        exception="Traceback …",
    )

    read = entry(line)

    assert read == LogEntry(
        timestamp=5.0,
        level="INFO",
        message="hello",
        logger_name="train",
        experiment_id="e",
        run_id="r",
        step=3,
        epoch=1,
        metrics={"loss": 0.5, "note": "x"},
        tags={"a": "b"},
        artifacts=["m.pt"],
        extra={"k": 1, "exception": "Traceback …"},
    )


@pytest.mark.parametrize(
    ("record", "level", "message"),
    [
        (records.Metrics(metrics={"loss": 1.0}), "METRIC", "metrics"),
        (records.Params(params={"lr": 1}), "EXPERIMENT", "params"),
        (records.Tags(tags={"a": "b"}), "EXPERIMENT", "tags"),
        (records.Artifact(name="m.pt"), "EXPERIMENT", "artifact"),
        (records.RunStart(run_id="r"), "EXPERIMENT", "run started"),
        (records.RunEnd(status="failed", error="boom"), "EXPERIMENT", "run ended: failed"),
        (records.Gap(dropped=7), "WARNING", "7 records were dropped here"),
        (records.Unknown(kind="later", fields={"x": 1}), "DEBUG", "later"),
    ],
)
def test_every_other_record_has_a_level_and_a_message(record: records.Record, level: str, message: str) -> None:
    read = entry(record)

    assert (read.level, read.message) == (level, message)


def test_a_record_of_a_kind_that_is_not_known_yet_keeps_its_fields() -> None:
    assert entry(records.Unknown(kind="later", fields={"x": 1})).extra == {"x": 1}


def test_json_is_strict_and_one_line() -> None:
    read = entry(records.Metrics(metrics={"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.5}))

    line = read.to_json()

    assert "\n" not in line
    plain = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert plain["metrics"] == {"a": None, "b": None, "c": None, "d": 1.5}
    assert plain["nonfinite"] == {"/metrics/a": "NaN", "/metrics/b": "Infinity", "/metrics/c": "-Infinity"}


WORDS = ["Infinity", "-Infinity", "NaN", "null", "/metrics/a", "~0/~1", "", 0, -0.0, 1e308, None, True]
NUMBERS = [math.inf, -math.inf]


@pytest.mark.parametrize("part", ["metrics", "extra"])
@pytest.mark.parametrize("way", [LogEntry.from_json, lambda text: LogEntry(**json.loads(text))])
def test_json_gives_the_same_entry_whatever_is_in_it(part: str, way: Callable[[str], LogEntry]) -> None:
    for value in [*WORDS, *NUMBERS]:
        for shape in (
            {"a": value},
            {"a/b~c": {"": [1, value, [value]]}, "nonfinite": value},
            {"0": [{"0": value}] * 2},
        ):
            made: dict[str, Any] = {part: shape}
            written = LogEntry(1.0, "INFO", "m", "l", **made)

            assert way(written.to_json()) == written
            assert ("nonfinite" in json.loads(written.to_json())) == (value in NUMBERS)
    texts = {LogEntry(1.0, "INFO", "m", "l", metrics={"a": value}).to_json() for value in [*WORDS[:4], *NUMBERS]}
    assert len(texts) == 6


def test_json_gives_nan_back_and_leaves_what_it_was_made_of_alone() -> None:
    text = LogEntry(1.0, "INFO", "m", "l", metrics={"a": math.nan}, tags={"a": "NaN"}).to_json()
    plain = json.loads(text)

    read = LogEntry(**plain)

    assert math.isnan(read.metrics["a"])
    assert read.tags == {"a": "NaN"}
    assert plain["metrics"] == {"a": None}


@pytest.mark.parametrize(
    "nonfinite", [{"/nowhere": "NaN"}, {"": "NaN"}, {"/metrics": "NaN"}, {"/metrics/a": "word"}, {"/extra/l/x": "NaN"}]
)
def test_a_pointer_that_means_nothing_changes_nothing(nonfinite: dict[str, str]) -> None:
    parts: dict[str, Any] = {"metrics": {"a": None}, "extra": {"l": [None]}}

    assert LogEntry(1.0, "INFO", "m", "l", **parts, nonfinite=nonfinite) == LogEntry(1.0, "INFO", "m", "l", **parts)


def test_the_dict_shares_nothing_with_the_entry() -> None:
    read = entry(records.LogLine(level="INFO", message="", extra={"list": [1]}))

    read.to_dict()["extra"]["list"].append(2)

    assert read.extra == {"list": [1]}


def test_what_a_journal_gave_is_kept_to_the_last_character() -> None:
    """Values were bounded when they were written; bounding them again would cut them twice, and deep values more."""
    deep: Any = "bottom"
    for _ in range(20):
        deep = {"down": [deep]}
    extra = {"deep": deep, "long": text("x" * 100_000), "many": list(range(20_000))}

    plain = entry(records.LogLine(level="INFO", message="m", extra=extra)).to_dict()

    assert plain["extra"] == extra


def test_params_round_trip_through_run_and_entry() -> None:
    params = {"optimizer": {"name": "adam", "betas": [0.9, 0.999]}, "seed": 1, "none": None}
    with ExperimentTracker("round") as tracker:
        tracker.log_hyperparams(params)

    assert tracker.folder is not None
    (read,) = [entry for entry in Run.open(tracker.folder).entries() if entry.message == "params"]

    assert read.to_dict()["extra"] == params


def test_whatever_a_program_puts_into_its_own_entry_becomes_plain() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    odd: Any = {"object": object, "set": {2, 1}, "tuple": (1,), 3: "key"}

    made = LogEntry(timestamp=0.0, level="INFO", message="", logger_name="", extra=odd, metrics=loop)

    assert json.loads(made.to_json())["extra"] == jsonable(odd)


def test_columns_are_one_a_metric_tag_and_extra() -> None:
    read = entry(records.LogLine(level="INFO", message="", metrics={"loss": 1}, tags={"t": "1"}, extra={"e": 1}))

    assert list(column_names(read)) == ["metrics.loss", "tags.t", "extra.e"]


def test_a_context_knows_its_folder() -> None:
    assert ExperimentContext("e", "e", "r").folder is None
    assert str(ExperimentContext("e", "e", "r", metadata={"folder": "/data/run"}).folder) == "/data/run"


def test_rank_and_attempt_are_in_what_is_made_of_an_entry_only_if_there_are_several() -> None:
    line = records.LogLine(level="INFO", message="m", writer="node7-4711-mwtfezun-n6xe_r3a2")
    read, plain = entry(line), entry(attrs.evolve(line, writer="node7-4711-mwtfezun-n6xe"))

    assert (read.rank, read.attempt, plain.rank, plain.attempt) == (3, 2, None, 1)
    assert read.to_dict() == {**plain.to_dict(), "rank": 3, "attempt": 2}
    assert dataclasses.asdict(read) == read.to_dict()
    assert dataclasses.asdict(plain) == plain.to_dict()
    assert dataclasses.replace(read, message="other").rank == 3
    assert dataclasses.replace(plain, rank=1) == attrs.evolve(plain, rank=1)
    assert LogEntry.from_json(read.to_json()) == read == pickle.loads(pickle.dumps(read))
    assert {field.name for field in dataclasses.fields(LogEntry)} >= {"rank", "attempt"}
    assert list(column_names(read)) == ["rank", "attempt"]
