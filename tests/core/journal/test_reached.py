"""The last step and epoch of each logger of a writer."""

from __future__ import annotations

from typing import Any

import pytest

from refunc.journal.encoded import MetricsRow
from refunc.journal.line import QueuedLine
from refunc.journal.reached import Reached
from refunc.logging import MLLogger, experiment_context
from refunc.logging.active.loose_lines import loose_lines


def rows(*places: tuple[str | None, Any, Any]) -> list[MetricsRow]:
    return [
        MetricsRow(seq, float(seq), "metrics", step, epoch=epoch, logger=logger)
        for seq, (logger, step, epoch) in enumerate(places)
    ]


def known(reached: Reached) -> dict[str | None, tuple[Any, Any]]:
    loggers = {*reached.steps, *reached.epochs}
    return {name: (reached.steps.get(name, [None])[-1], reached.epochs.get(name, [None])[-1]) for name in loggers}


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(None, 1, None), (None, 2, None)], {None: (2, None)}),
        ([(None, 1, 1), (None, None, 2), (None, None, None)], {None: (1, 2)}),
        ([("a", 1, None), (None, 5, 1), ("a", 3, None), (None, 6, None), ("a", None, 9)], {None: (6, 1), "a": (3, 9)}),
        ([("a", 1, None), ("b", 2, None), ("a", 3, None)], {"a": (3, None), "b": (2, None)}),
        ([(None, None, None)], {}),
    ],
)
def test_each_logger_has_its_last_place_whatever_the_others_do(places: Any, expected: Any) -> None:
    at_once, one_by_one = Reached(), Reached()
    made = rows(*places)

    at_once.see_all(made)
    for row in reversed(made):
        one_by_one.see(row.logger, row.seq, row.time, row.step, row.epoch)

    assert known(at_once) == known(one_by_one) == expected


def test_a_forks_child_goes_on_from_where_its_parent_was() -> None:
    reached = Reached()
    reached.see_all(rows(*[(None, step, step) for step in range(100)]))

    reached.count_from_start()
    assert known(reached) == {None: (99, 99)}
    reached.see_all(rows((None, 7, None)))

    assert known(reached) == {None: (7, 99)}


def test_names_made_up_on_the_fly_do_not_fill_memory() -> None:
    reached = Reached()
    for number in range(3_000):
        reached.see(f"logger {number}", number, 0.0, number, None)

    assert len(reached.steps) == 1_000
    assert reached.steps["logger 2999"][-1] == 2_999


def test_a_line_counts_for_the_logger_that_logged_it() -> None:
    own, other = MLLogger("own"), MLLogger("other")
    with experiment_context("digits", "places", logger=own):
        own.info("a line", step=3)
        other.info("another logger's", step=700, epoch=7, stack_info=True)
        run = own._current_run()
        run.writer.flush()

        assert known(run.writer.reached) == {None: (3, None), "other": (700, 7)}


def test_a_call_queues_a_line_in_the_order_that_its_reader_has() -> None:
    """The call makes a plain tuple, which nothing but this compares with the names of its places."""
    MLLogger("waits").warning(
        "text", step=3, epoch=2, metrics={"loss": 0.5, "word": "w"}, tags={"a": "b"}, artifacts=["m"], extra={"k": 1}
    )

    line = QueuedLine._make(loose_lines.items[-1])

    assert (line.kind, line.level, line.message, line.step, line.epoch) == ("log", 30, "text", 3, 2)
    assert (line.metrics, line.other, line.tags, line.artifacts) == ({"loss": 0.5}, {"word": "w"}, {"a": "b"}, ("m",))
    assert (line.extra, line.is_raw, line.trace, line.stack, line.logger) == ({"k": 1}, True, None, None, "waits")
    assert line.caller[0].endswith("test_reached.py")
    assert line.time > 1e9
