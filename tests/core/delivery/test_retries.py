"""Calls that a backend does not take now: they are tried again, and other processes may try meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from refunc.delivery.custody import load_cursor
from refunc.delivery.waiting import health_at
from refunc.logging.active.run import ActiveRun
from refunc.plugins import Pause, Retry


@pytest.mark.parametrize("error", [Retry("busy"), OSError("refused"), TimeoutError(), ConnectionResetError()])
def test_what_is_transient_is_tried_until_it_works(
    error: BaseException, logged: Callable[..., ActiveRun], fake: Any
) -> None:
    run = logged(0, 1)
    left = iter(range(20))
    fake.fails = lambda hook, what: error if hook == "metrics" and next(left, None) is not None else None

    subscription = fake.subscribe(run)
    fake.deliver(subscription)

    assert fake.metrics == [0, 1]
    assert fake.hooks().count("metrics") == 21
    assert fake.hooks().count("start") == fake.hooks().count("log") == 1  # these are not sent again
    assert subscription.cursor.state == "ok"
    assert subscription.cursor.last_error is not None


def test_the_backend_says_how_long_it_wants_to_be_left_alone(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(0)
    fake.fails = lambda hook, what: Retry("slow down", after=30.0) if hook == "metrics" else None
    subscription = fake.subscribe(run)

    began = time.monotonic()
    fake.deliver(subscription)

    assert began + 30 <= subscription.retry_at <= time.monotonic() + 30
    assert not subscription.wants()
    assert health_at(load_cursor(run.folder, fake.KEY, "fake")).state == "retrying"


def test_wrong_credentials_pause_and_lose_nothing(logged: Callable[..., ActiveRun], fake: Any) -> None:
    run = logged(0)
    fake.fails = lambda hook, what: Pause("401") if hook == "metrics" else None
    subscription = fake.subscribe(run)

    began = time.monotonic()
    fake.deliver(subscription)

    health = health_at(load_cursor(run.folder, fake.KEY, "fake"))
    assert (health.state, health.dead, health.last_error) == ("paused", 0, "401")
    assert health.waiting == 2
    assert began + 25 < subscription.retry_at <= time.monotonic() + 30


@pytest.mark.parametrize("error", [Pause("who are you"), Retry("busy", after=60.0)])
def test_while_it_waits_an_ended_run_is_left_to_who_has_better_credentials(
    error: Exception, logged: Callable[..., ActiveRun], fake: Any, other: Any
) -> None:
    run = logged(0, 1)
    run.end("completed")
    waits = fake.subscribe(run)
    fake.fails = lambda hook, what: error
    fake.deliver(waits)

    taker = fake.subscribe(run)
    other.deliver(taker)
    taker.close()

    assert other.metrics == [0, 1]
    fake.fails = lambda hook, what: None
    waits.retry_at = 0.0
    fake.deliver(waits)
    assert fake.metrics == []  # it sees that all is done
    assert waits.is_done


def test_a_run_that_goes_on_and_a_window_half_settled_are_kept(
    logged: Callable[..., ActiveRun], fake: Any, other: Any
) -> None:
    run = logged(0)
    fake.fails = lambda hook, what: Retry("busy", after=60.0)
    goes_on = fake.subscribe(run)
    fake.deliver(goes_on)
    other.deliver(fake.subscribe(run))
    assert other.calls == []
    goes_on.close()
    run.end("completed")
    fake.fails = lambda hook, what: Retry("busy", after=60.0) if hook == "log" else None
    fake.deliver(fake.subscribe(run))

    other.deliver(fake.subscribe(run))

    assert fake.metrics == [0]
    assert other.calls == []
