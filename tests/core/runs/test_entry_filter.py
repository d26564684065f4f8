"""Choosing entries: each condition, alone and together."""

from __future__ import annotations

import logging
import tracemalloc
from typing import Any

import pytest

from refunc.journal.record import Tags
from refunc.runs import LogEntry
from refunc.runs.entry_filter import EntryFilter, RunTags, newest, select


def entry(**fields: Any) -> LogEntry:
    return LogEntry(**{"timestamp": 10.0, "level": "INFO", "message": "Epoch 3 done", "logger_name": "train", **fields})


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (EntryFilter(), True),
        (EntryFilter(level="INFO"), True),
        (EntryFilter(level="DEBUG"), False),
        (EntryFilter(min_level=20), True),
        (EntryFilter(min_level=21), False),
        (EntryFilter(start_time=10.0), True),
        (EntryFilter(start_time=10.1), False),
        (EntryFilter(end_time=10.0), False),
        (EntryFilter(end_time=10.1), True),
        (EntryFilter(tags={"fold": "1"}), True),
        (EntryFilter(tags={"fold": 1}), True),  # type: ignore[dict-item]  # tags are text, whatever the caller has at hand
        (EntryFilter(tags={"fold": "2"}), False),
        (EntryFilter(tags={"fold": "1", "other": "x"}), False),
        (EntryFilter(contains="epoch 3"), True),
        (EntryFilter(contains="epoch 4"), False),
        (EntryFilter(level="INFO", contains="done", start_time=5.0, end_time=15.0), True),
        (EntryFilter(level="INFO", contains="nothing"), False),
    ],
)
def test_an_entry_matches_if_every_condition_holds(query: EntryFilter, wanted: bool) -> None:
    assert query.matches(entry(tags={"fold": "1"})) is wanted


@pytest.mark.parametrize(
    ("level", "number"),
    [("METRIC", 25), ("WARN", 30), ("Level 27", 27), ("NOTICE", 35), ("UNHEARD_OF", 0), ("Level x", 0), ("", 0)],
)
def test_a_level_of_somebody_elses_has_its_number_or_0(
    level: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A level that another program wrote into a journal must not break reading it."""
    monkeypatch.setitem(logging._nameToLevel, "NOTICE", 35)

    assert EntryFilter(min_level=number).matches(entry(level=level))
    assert not EntryFilter(min_level=number + 1).matches(entry(level=level))


def test_select_keeps_the_order() -> None:
    entries = [entry(level=level, timestamp=float(at)) for at, level in enumerate(["INFO", "DEBUG", "ERROR", "INFO"])]

    chosen = list(select(entries, EntryFilter(min_level=20)))

    assert [found.timestamp for found in chosen] == [0.0, 2.0, 3.0]


def test_newest_turns_them_oldest_first_and_reads_no_further_than_it_must() -> None:
    def endless() -> Any:
        at = 0
        while True:
            at -= 1
            yield entry(timestamp=float(at))

    assert [found.timestamp for found in newest(endless(), 3)] == [-3.0, -2.0, -1.0]


@pytest.mark.parametrize(("count", "found"), [(None, 3), (0, 0), (2, 2), (5, 3)])
def test_newest_takes_so_many(count: int | None, found: int) -> None:
    assert len(newest([entry()] * 3, count)) == found


def tags(number: int, **given: str) -> Tags:
    return Tags(seq=number, time=float(number), writer="w", logger=None, tags=given)


@pytest.mark.parametrize(
    ("moment", "phase", "fold"),
    [(0.0, "train", "1"), (1.0, "train", "1"), (2.0, "train", "1"), (3.0, "test", "1"), (9.0, "test", "1")],
)
def test_a_runs_tag_holds_until_its_next_value_and_the_first_from_the_beginning(
    moment: float, phase: str, fold: str
) -> None:
    run = RunTags([tags(1, phase="train"), tags(2, fold="1"), tags(3, phase="test")])

    assert (run.at("phase", moment), run.at("fold", moment), run.at("other", moment)) == (phase, fold, None)
    found = EntryFilter(tags={"phase": phase, "fold": 1}).matches(entry(timestamp=moment, tags={}), run)  # type: ignore[dict-item]
    assert found
    assert not EntryFilter(tags={"phase": "own"}).matches(entry(timestamp=moment, tags={}), run)
    assert EntryFilter(tags={"phase": "own"}).matches(entry(timestamp=moment, tags={"phase": "own"}), run)
    assert not EntryFilter(tags={"phase": phase}).matches(entry(timestamp=moment, tags={"phase": "own"}), run)


@pytest.mark.once
def test_the_tags_of_a_run_take_memory_in_proportion_to_how_many_there_are() -> None:
    def size(count: int) -> int:
        records = [tags(number, **{f"k{number}": "v"}) for number in range(count)]
        tracemalloc.start()
        try:
            run = RunTags(records)
            return tracemalloc.get_traced_memory()[1]
        finally:
            del run
            tracemalloc.stop()

    assert size(2_000) < 6 * size(500)
