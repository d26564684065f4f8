"""A window of calls: its progress and its outcome."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from refunc.delivery.window import Call, State, Window, calls_of
from refunc.journal.record import Artifact, Attach, LogLine, Metrics, Params, Record, RunEnd, Tags
from refunc.plugins.hooks import HOOKS


@pytest.fixture
def window() -> Window:
    """Return the window of a line and two records of metrics."""
    records = [
        Metrics(seq=1, metrics={"loss": 0.5}),
        LogLine(seq=2, level="INFO", message="m"),
        Metrics(seq=3, metrics={}),
    ]
    return Window(calls_of(records), records)


def test_calls_come_in_the_order_of_the_table_of_hooks() -> None:
    records: list[Record] = [
        Attach(name="fake", path="m:C", key="k"),
        RunEnd(status="completed", duration=1.0),
        Artifact(name="a", source="a"),
        Artifact(name="b", source="b"),
        LogLine(level="RESULT", message="m", metrics={"acc": 0.5}),
        Metrics(metrics={"loss": 0.5}),
        Tags(tags={}),
        Params(params={}),
    ]

    calls = calls_of(records)

    assert [call.hook for call in calls] == sorted([call.hook for call in calls], key=list(HOOKS).index)
    assert [len(call.records) for call in calls] == [1, 1, 2, 1, 1, 1]
    assert {type(record) for call in calls for record in call.records} == {Params, Tags, Metrics, LogLine, Artifact}


def test_a_window_may_be_left_until_something_of_it_is_settled(window: Window) -> None:
    first = window.calls[0]
    assert window.is_fresh
    assert window.may_be_left

    window.begin()
    window.suspect(first, seconds=60)
    window.clear_suspects()
    assert not window.is_fresh
    assert window.may_be_left

    window.settled(first)
    assert not window.may_be_left
    assert first not in window.calls


@pytest.mark.parametrize(
    "happens",
    [Window.failed, Window.blame, Window.settled, lambda window, call: window.refused(call, "no")],
    ids=["failed", "blame", "settled", "refused"],
)
def test_a_window_of_which_something_became_known_is_not_left(
    window: Window, happens: Callable[[Window, Call], object]
) -> None:
    window.begin()
    happens(window, window.calls[0])

    assert not window.may_be_left


def test_a_claimed_window_stays_claimed_until_its_call_was_not_taken(window: Window) -> None:
    window.begin()
    window.claim()
    window.failed(window.calls[0])
    assert window.is_claimed
    assert not window.may_be_left

    window.unclaim()
    assert window.is_fresh
    assert not window.is_claimed


def test_dead_letters_are_called_at_once() -> None:
    assert not Window([Call("on_log", [])], state=State.BEGUN).is_fresh


def test_a_record_that_two_hooks_refuse_is_missed_once() -> None:
    records = [LogLine(seq=1, writer="w", level="RESULT", message="m", metrics={"acc": 0.5})]
    window = Window(calls_of(records), records)
    metrics, lines = window.calls

    window.refused(metrics, "set aside", is_aside=True)
    window.refused(lines, "no")

    assert window.is_settled
    assert window.delivered == 0
    assert [(each.call, each.error) for each in window.take_given_up()] == [(lines, "no"), (metrics, "set aside")]
    assert window.take_given_up() == []


def test_a_call_is_postponed_once_and_its_hook_behind_the_others(window: Window) -> None:
    metrics, lines = window.calls

    assert window.postpone(metrics)
    assert list(window.calls) == [lines, metrics]
    assert not window.postpone(metrics)
    window.postpone_hook(lines.hook)
    assert list(window.calls) == [metrics, lines]
