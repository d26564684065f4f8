"""No record holds up the others: whatever a hook raises for it, at whatever place, for however long."""

from __future__ import annotations

import errno
import socket
import sqlite3
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.delivery.conftest import Fake

from refunc.delivery import backend as backend_module
from refunc.delivery import subscription as subscription_module
from refunc.delivery.dead_letters import DeadLetters
from refunc.delivery.waiting import health_at
from refunc.logging.active.run import ActiveRun
from refunc.plugins import Pause, Reject, Retry, hookimpl
from refunc.plugins.judgement import judge


class Tracker(Fake):
    """Takes everything but the records of which a test says that they fail."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[str, list[Any]] = {}
        self.is_bad: Callable[[str, Any], bool] = lambda hook, record: False
        self.errors: Iterator[BaseException] = iter(())

    def take(self, hook: str, what: Any) -> None:
        records = what if isinstance(what, tuple) else (what,)
        if any(self.is_bad(hook, record) for record in records):
            error = next(self.errors, None)
            if error is not None:
                raise error
        self.taken.setdefault(hook, []).extend(records)

    @hookimpl
    def on_tags(self, run: Any, record: Any) -> None:
        self.take("tags", record)

    @hookimpl
    def on_artifact(self, run: Any, record: Any) -> None:
        self.take("artifact", record)


class WithPing(Tracker):
    """Answers when it is asked whether it is there."""

    is_there = True

    def ping(self) -> None:
        if not self.is_there:
            raise ConnectionError("nobody answers")


class Answered(OSError):
    """An answer with a status, as `requests` raises it: an OSError with a response."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} for url")
        self.response = SimpleNamespace(status_code=status, headers={})


class Invalid(OSError, ValueError):
    """A client's own check of its arguments, as `requests.InvalidURL`."""


class Wrapped(Exception):
    """A client's own class around the error, as `MlflowException` or `urllib3.MaxRetryError`."""


def _wrapped(inner: BaseException) -> BaseException:
    error = Wrapped("could not be sent")
    error.__cause__ = inner
    return error


class DataError(Exception):
    """A database's refusal, as SQLAlchemy wraps it."""

    __module__ = "sqlalchemy.exc"


class OperationalError(Exception):
    """A database that cannot be reached, or a statement that it does not understand."""

    __module__ = "sqlalchemy.exc"


class Rpc(Exception):
    """An answer of gRPC."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._name = name

    def code(self) -> Any:
        return SimpleNamespace(name=self._name)


ERRORS: list[Callable[[], BaseException]] = [
    *(lambda status=status: Answered(status) for status in (400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503)),
    lambda: urllib.error.HTTPError("http://host", 413, "too large", {}, None),  # type: ignore[arg-type]
    lambda: urllib.error.URLError(ConnectionRefusedError()),
    lambda: OSError("refused"),
    lambda: OSError(errno.ENOSPC, "No space left on device"),
    ConnectionResetError,
    BrokenPipeError,
    TimeoutError,
    lambda: socket.gaierror(-2, "Name or service not known"),
    lambda: FileNotFoundError(errno.ENOENT, "No such file or directory", "/gone"),
    lambda: PermissionError(errno.EACCES, "Permission denied", "/locked"),
    lambda: Invalid("no host"),
    lambda: _wrapped(Answered(413)),
    lambda: _wrapped(ConnectionResetError()),
    lambda: _wrapped(ValueError("NaN is not JSON")),
    lambda: DataError("value too long"),
    lambda: OperationalError("no such column"),
    lambda: sqlite3.OperationalError("database is locked"),
    lambda: sqlite3.IntegrityError("UNIQUE constraint failed"),
    lambda: Rpc("INVALID_ARGUMENT"),
    lambda: Rpc("UNAVAILABLE"),
    lambda: ValueError("odd"),
    lambda: TypeError("not JSON serializable"),
    lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    lambda: KeyError("step"),
    lambda: OverflowError("int too big"),
    RecursionError,
    lambda: SystemExit(1),
    lambda: Retry("busy"),
    lambda: Retry("slow down", after=0.001),
    lambda: Reject("never"),
    lambda: Pause("who are you"),
]

HOOKS = ("start", "params", "tags", "metrics", "log", "artifact", "end")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    """Shorten the seconds in which an outage and a record that fails are told apart."""
    monkeypatch.setattr(backend_module, "DOUBT", 0.01)
    monkeypatch.setattr(backend_module, "DOUBT_AGAIN", 0.005)
    monkeypatch.setattr("refunc.delivery.settlement.PAUSE", 0.003)
    monkeypatch.setattr("refunc.delivery.settlement.UNKNOWN_DELAY", 0.001)
    monkeypatch.setattr(subscription_module, "AT_THE_END", (0.0, 0.001))


def _logged(make_run: Callable[..., ActiveRun]) -> ActiveRun:
    """Return a run that has ended, with ten records of each kind and a step each."""
    run: ActiveRun = make_run()
    for number in range(10):
        run.put("params", {"params": {f"p{number}": number}})
        run.put("tags", {"tags": {f"t{number}": str(number)}})
        run.put("metrics", {"metrics": {"n": number}, "step": number})
        run.put("log", {"level": "INFO", "message": f"line {number}"})
        run.put("artifact", {"name": f"a{number}", "source": f"a{number}"})
    run.end("completed")
    return run


def _number(record: Any) -> int:
    """Return which of the ten *record* is, by its number in the journal, which begins with the run's start."""
    return (int(record.seq) - 1) // 5


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    error=st.sampled_from(ERRORS),
    hook=st.sampled_from(HOOKS),
    bad=st.sets(st.integers(0, 9), min_size=1, max_size=3),
    failures=st.sampled_from([1, 4, 12, 10**6]),
    kind=st.sampled_from([Tracker, WithPing]),
)
def test_whatever_one_record_is_every_other_one_arrives_once_and_in_order(
    error: Callable[[], BaseException],
    hook: str,
    bad: set[int],
    failures: int,
    kind: type[Tracker],
    make_run: Callable[..., ActiveRun],
    hurried: None,
) -> None:
    if hook in ("start", "end") and (kind is Tracker or failures > 12):
        failures = 4  # with nothing behind them that could be tried, these wait for as long as it takes
    run = _logged(make_run)
    tracker = kind()
    tracker.is_bad = lambda name, record: name == hook and (hook in ("start", "end") or _number(record) in bad)
    tracker.errors = (error() for _ in range(failures))

    subscription = tracker.subscribe(run, at_the_end=(0.0, 0.001))
    tracker.deliver(subscription, seconds=60.0)

    letters = DeadLetters(run.folder, tracker.KEY).lines()
    for name in ("params", "tags", "metrics", "log", "artifact"):
        numbers = [_number(record) for record in tracker.taken.get(name, [])]
        good = [number for number in numbers if name != hook or number not in bad]
        expected = [number for number in range(10) if name != hook or number not in bad]
        assert good == expected, (name, numbers)
        assert len(numbers) == len(set(numbers)), (name, numbers)
    if hook not in ("start", "end"):
        arrived = {_number(record) for record in tracker.taken.get(hook, [])} & bad
        assert len(arrived) + len(letters) == len(bad)
        assert subscription.is_done
        assert len(tracker.taken["end"]) == 1


@pytest.mark.parametrize("kind", [Tracker, WithPing])
def test_an_outage_of_whatever_length_changes_no_order_and_sets_nothing_aside(
    kind: type[Tracker], make_run: Callable[..., ActiveRun], hurried: None
) -> None:
    """A hook that never asks the server, as `on_log` of several plugins, gets through meanwhile."""
    run = _logged(make_run)
    tracker = kind()
    if isinstance(tracker, WithPing):
        tracker.is_there = False
    tracker.is_bad = lambda name, record: name != "log"
    tracker.errors = (ConnectionRefusedError() for _ in range(10**6))
    subscription = tracker.subscribe(run)
    tracker.deliver(subscription, seconds=0.5)
    assert set(tracker.taken) <= {"log"}

    if isinstance(tracker, WithPing):
        tracker.is_there = True
    tracker.errors = iter(())
    tracker.deliver(subscription, seconds=60.0)

    for name in ("metrics", "log", *(("params", "tags", "artifact") if kind is WithPing else ())):
        assert [_number(record) for record in tracker.taken[name]] == list(range(10)), name
    assert subscription.is_done
    assert not DeadLetters(run.folder, tracker.KEY).lines()
    assert len(tracker.taken["start"]) == len(tracker.taken["end"]) == 1


def test_a_record_that_was_set_aside_is_tried_again_at_the_end_and_counted_meanwhile(
    make_run: Callable[..., ActiveRun], hurried: None
) -> None:
    run = _logged(make_run)
    tracker = WithPing()
    tracker.is_bad = lambda name, record: name == "artifact" and _number(record) == 3
    tracker.errors = (ConnectionResetError("too large") for _ in range(10**6))
    subscription = tracker.subscribe(run, at_the_end=())
    tracker.deliver(subscription)

    health = health_at(subscription.cursor)
    assert (health.aside, health.waiting, health.dead) == (1, 1, 0)
    assert health.delivered == 51  # the start and the end, and all but one of fifty
    subscription.close()
    tracker.errors = iter(())
    again = tracker.subscribe(run, at_the_end=(0.0,))
    tracker.deliver(again)

    assert [_number(record) for record in tracker.taken["artifact"]] == [0, 1, 2, 4, 5, 6, 7, 8, 9, 3]
    assert again.is_done
    assert (health_at(again.cursor).aside, health_at(again.cursor).delivered) == (0, 52)
    assert not Path(DeadLetters(run.folder, tracker.KEY).path).exists()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Answered(401), "denied"),
        (_wrapped(_wrapped(Answered(403))), "denied"),
        (Answered(429), "away"),
        (_wrapped(Answered(413)), "refused"),
        (Rpc("UNAUTHENTICATED"), "denied"),
        (Rpc("NOT_FOUND"), "refused"),
        (_wrapped(DataError("too long")), "refused"),
        (OperationalError("gone away"), "away"),
        (sqlite3.IntegrityError("UNIQUE"), "refused"),
        (Invalid("no host"), "unknown"),
        (_wrapped(TimeoutError()), "away"),
        (ValueError("odd"), "unknown"),
    ],
)
def test_an_error_is_judged_by_what_it_says_wherever_in_its_chain(error: BaseException, kind: str) -> None:
    assert judge(error).kind == kind


def test_a_chain_of_causes_without_an_end_is_looked_through_once() -> None:
    first, second = Wrapped("a"), Wrapped("b")
    first.__cause__, second.__cause__ = second, first

    assert judge(first).kind == "unknown"


def _raising(name: str, raised: type[BaseException], base: type[Exception]) -> Exception:
    """Return an exception of which *name* cannot be read."""

    def read(error: object, *arguments: object) -> object:
        raise raised("cannot be read")

    return type("Hostile", (base,), {name: read if name == "__str__" else property(read)})("x")


@pytest.mark.parametrize("raised", [RuntimeError, SystemExit])
@pytest.mark.parametrize(
    "name",
    [
        *("reason", "orig", "args", "__cause__", "__context__", "__class__", "__str__"),
        *("response", "status_code", "code", "filename", "headers"),
    ],
)
@pytest.mark.parametrize(("base", "kind"), [(ValueError, "unknown"), (ConnectionError, "away"), (Reject, "refused")])
def test_an_exception_that_cannot_be_read_is_judged_by_the_rest_of_it(
    name: str, raised: type[BaseException], base: type[Exception], kind: str
) -> None:
    error = _raising(name, raised, base)

    assert judge(error, "on_artifact").kind == kind
    assert judge(_wrapped(error)).kind == (kind if base is not Reject else "unknown")


@pytest.mark.parametrize("after", ["soon", object(), "\u00b2"])
def test_a_time_to_wait_that_is_no_number_leaves_it_to_the_back_off(after: Any) -> None:
    answered = Answered(429)
    answered.response.headers = {"Retry-After": after}

    assert judge(Retry("busy", after=after)) == ("away", None)
    assert judge(answered) == ("away", None)


@pytest.mark.parametrize("name", ["reason", "args", "__str__"])
def test_a_hook_whose_exception_cannot_be_read_loses_nothing_but_that_call(
    name: str, make_run: Callable[..., ActiveRun], hurried: None
) -> None:
    run = _logged(make_run)
    tracker = Tracker()
    tracker.is_bad = lambda hook, record: hook == "metrics"
    tracker.errors = iter([_raising(name, RuntimeError, Exception)])
    subscription = tracker.subscribe(run)

    tracker.deliver(subscription)

    assert subscription.is_done
    assert [_number(record) for record in tracker.taken["metrics"]] == list(range(10))
    assert not DeadLetters(run.folder, tracker.KEY).lines()


class Returns(Tracker):
    """Has a hook that returns the error that it should have raised."""

    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> Any:
        return Retry("busy")


def test_a_hook_that_returns_something_is_left_alone_at_once_and_loses_nothing(
    make_run: Callable[..., ActiveRun], hurried: None
) -> None:
    run = _logged(make_run)
    tracker = Returns()
    subscription = tracker.subscribe(run)
    tracker.deliver(subscription)

    health = health_at(subscription.cursor)
    assert (health.state, health.dead) == ("quarantined", 0)
    assert health.waiting == 52
    assert health.last_error is not None
    assert health.last_error.startswith("on_metrics returned Retry('busy'). A hook must return None")
