"""How a run ended, from the exception that ended it; whole processes are tested in `interpreter/test_run_ends.py`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import pickle
import signal
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from refunc.logging import experiment_context
from refunc.logging.active.outcome import status_of_exception, traceback_of
from refunc.runs import open_store


class Stop(SystemExit):
    pass


class Group(BaseException):
    def __init__(self, *exceptions: BaseException) -> None:
        self.exceptions = exceptions


Group.__name__ = "BaseExceptionGroup"
Pruned = type("TrialPruned", (RuntimeError,), {"__module__": "optuna.exceptions"})
OwnPruned = type("Mine", (Pruned,), {"__module__": "mine"})


def chained(
    error: BaseException, *, cause: BaseException | None = None, context: BaseException | None = None
) -> BaseException:
    error.__cause__, error.__context__ = cause, context
    return error


def endless() -> BaseException:
    first, second = SystemExit(1), ValueError()
    first.__context__, second.__context__ = second, first
    return first


STATUSES = {
    "Ctrl-C behind other errors": (
        lambda: chained(SystemExit(0), context=chained(ValueError(), cause=KeyboardInterrupt())),
        "interrupted",
    ),
    "an error behind Ctrl-C is an error": (lambda: chained(ValueError(), context=KeyboardInterrupt()), "failed"),
    "an exit in the handling of an error": (lambda: chained(SystemExit(1), context=ValueError()), "failed"),
    "a clean exit in the handling of an error": (lambda: chained(SystemExit(0), context=ValueError()), "completed"),
    "an endless chain": (endless, "failed"),
    "a class of its own, with a code": (lambda: Stop(3), "failed"),
    "False": (lambda: SystemExit(False), "completed"),
    "True": (lambda: SystemExit(True), "failed"),
    "an empty text": (lambda: SystemExit(""), "failed"),
    "a cancelled task": (asyncio.CancelledError, "interrupted"),
    "the result of a cancelled future": (concurrent.futures.CancelledError, "failed"),
    "gevent's": (type("GreenletExit", (BaseException,), {}), "interrupted"),
    "a class that is only called so": (type("Cancelled", (Exception,), {}), "failed"),
    "pruned": (Pruned, "pruned"),
    "a class derived from it": (OwnPruned, "pruned"),
    "another library's": (type("TrialPruned", (Exception,), {"__module__": "mine"}), "failed"),
    "a group of pruned ones": (lambda: Group(Pruned(), asyncio.CancelledError()), "interrupted"),
    "a group with an error": (lambda: Group(Pruned(), Group(ValueError())), "failed"),
    "a group with Ctrl-C": (lambda: Group(ValueError(), Group(KeyboardInterrupt())), "interrupted"),
    "an empty group": (Group, "failed"),
}


@pytest.mark.parametrize("name", STATUSES)
def test_the_status_of_an_exception(name: str) -> None:
    make, status = STATUSES[name]

    assert status_of_exception(make()) == status


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no groups")
def test_the_status_of_a_group_of_python() -> None:
    group = BaseExceptionGroup  # noqa: F821  # from Python 3.11 on

    assert status_of_exception(group("tasks", [ValueError(), KeyboardInterrupt()])) == "interrupted"
    assert status_of_exception(group("tasks", [ValueError(), asyncio.CancelledError()])) == "failed"


class Handler:
    def __call__(self, number: int, frame: object) -> None:
        sys.exit(0)

    def method(self, number: int, frame: object) -> None:
        raise SystemExit(1)


def with_more(more: int, number: int, frame: object) -> None:
    sys.exit(more)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no such signal")
@pytest.mark.parametrize("handler", [Handler(), Handler().method, functools.partial(with_more, 1)])
def test_an_exit_in_a_signal_handler_interrupts(handler: Callable[[int, object], None]) -> None:
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(SystemExit), experiment_context("e", "signalled"):
            signal.raise_signal(signal.SIGUSR1)
        with pytest.raises(SystemExit), experiment_context("e", "not signalled"):
            sys.exit(1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    store = open_store()
    assert (store["signalled"].status, store["not signalled"].status) == ("interrupted", "failed")


def test_what_was_pruned_has_no_traceback() -> None:
    with pytest.raises(Pruned), experiment_context("e", "trial"):
        raise Pruned

    end = open_store()["trial"].summary.end
    assert end is not None
    assert (end.status, end.error) == ("pruned", None)
    assert traceback_of(ValueError("bad"), "failed") == "ValueError: bad\n"


def test_sys_exit_stays_what_it_was() -> None:
    assert pickle.loads(pickle.dumps(sys.exit)) is sys.exit
    assert list(inspect.signature(sys.exit).parameters) == ["status"]
    for given in (None, 0, 3, "text", (1, 2)):
        with pytest.raises(SystemExit) as raised:
            sys.exit(given)  # type: ignore[arg-type]
        assert (type(raised.value), raised.value.code) == (SystemExit, given)
    with pytest.raises(SystemExit) as raised:
        sys.exit()
    assert raised.value.code is None


@pytest.mark.parametrize("goes_on", [False, True])
def test_an_async_generator_that_is_left_completes(goes_on: bool) -> None:
    async def batches() -> AsyncIterator[int]:
        with experiment_context("e", "left"):
            yield 1
            yield 2

    async def train() -> None:
        async for _ in batches():
            break
        for _ in range(5 * goes_on):
            await asyncio.sleep(0)

    asyncio.run(train())

    assert open_store()["left"].status == "completed"


def test_an_async_generator_that_is_cancelled_inside_is_interrupted() -> None:
    async def batches() -> AsyncIterator[int]:
        with experiment_context("e", "cancelled"):
            await asyncio.Event().wait()
            yield 1

    async def train() -> None:
        async for _ in batches():
            pass

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(asyncio.wait_for(train(), 0.01))

    assert open_store()["cancelled"].status == "interrupted"
