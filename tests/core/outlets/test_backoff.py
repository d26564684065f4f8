"""How long is waited between tries."""

from __future__ import annotations

from refunc.outlets.backoff import Backoff, delay_after


def test_the_wait_doubles_up_to_the_longest_and_begins_again_behind_a_success() -> None:
    backoff = Backoff(0.5, 3.0)

    assert [backoff.failed() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.failed() == 0.5


def test_a_wait_can_be_bounded_for_once() -> None:
    backoff = Backoff(0.5, 30.0)

    assert [backoff.failed(), backoff.failed(at_most=0.7), backoff.failed()] == [0.5, 0.7, 1.4]


def test_a_number_of_failures_gives_the_same_wait() -> None:
    backoff = Backoff(0.5, 3.0)

    assert delay_after(0, 0.5, 3.0) == 0.0
    assert [delay_after(failures, 0.5, 3.0) for failures in range(1, 6)] == [backoff.failed() for _ in range(5)]
