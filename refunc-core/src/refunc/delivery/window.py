"""
A window: up to 1,000 records of a run as hook calls, and the progress of each call and of the window.

A call that failed is made again, and so are the calls after it; those before it are not, unless the process dies. A
call of several records that a backend refuses is halved until the refused record is single.

A call that fails as in an outage may be the cause itself. It is then a suspect: others are tried before it, and if they
succeed, delivery continues without it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

import attrs

from refunc.journal.record import Gap, LogLine, Metrics, Record, RunEnd
from refunc.plugins.hooks import HOOKS, RUN_END, RUN_START, TAKERS

#: The most tries of a call that fails with an error of unknown meaning.
TRIES = 5


@attrs.define(eq=False)
class Call:
    """One hook with its records, several or one."""

    hook: str
    records: list[Any]
    #: How often it failed for an unknown reason.
    failures: int = 0
    #: The line of the dead letter that is tried again.
    letter: bytes | None = None
    #: The digest of the annotations that it says; None for records of the journal.
    said: str | None = None
    #: When it first failed as in an outage, how often, and the time of its next try, by the monotonic clock.
    since: float | None = None
    absences: int = 0
    retry_at: float = 0.0
    #: Whether it was moved after the others of its window once, because too many before it failed.
    is_postponed: bool = False

    @property
    def is_single(self) -> bool:
        """Whether it cannot be halved."""
        return len(self.records) <= 1

    def halves(self) -> tuple[Call, Call]:
        """Return its records as two calls, which inherit its count of failures."""
        middle = len(self.records) // 2
        failures = TRIES - 1 if self.failures else 0
        first, second = self.records[:middle], self.records[middle:]
        return Call(self.hook, first, failures, since=self.since), Call(self.hook, second, failures, since=self.since)

    def failed_as_in_an_outage(self) -> None:
        """Count a failure that may be an outage."""
        self.absences += 1
        self.since = self.since or time.monotonic()


class GivenUp(NamedTuple):
    """A call that was not delivered, the reason, and whether it is only set aside."""

    call: Call
    error: str | None
    is_aside: bool


class State(Enum):
    """The progress of a window."""

    #: No call was made yet.
    FRESH = auto()
    #: Calls are being made; so far there was only an outage, so that another process can still take it over unchanged.
    BEGUN = auto()
    #: A part of it is settled, or about to be: it has to be finished here.
    TOUCHED = auto()
    #: The cursor was moved past it in advance, because nothing may be sent twice.
    CLAIMED = auto()


class Window:
    """Calls to settle, in order, before the cursor moves on."""

    def __init__(
        self,
        calls: Iterable[Call] = (),
        records: Sequence[Record] = (),
        *,
        has_records: bool | None = None,
        state: State = State.FRESH,
    ) -> None:
        """
        Args:
            records: The records that the calls were made of; none for an end or for dead letters.
            has_records: Whether records were read, also if none of them is delivered.
            state: `BEGUN` for dead letters, which are called at once.
        """
        self.calls = deque(calls)
        #: Calls that failed as in an outage while others are tried; they came before all in `calls`.
        self.suspects: list[Call] = []
        self.has_records = bool(records) if has_records is None else has_records
        #: The few of its records that the cursor may need.
        self.others = [record for record in records if type(record) is not Metrics]
        ends = [record for record in self.others if isinstance(record, RunEnd)]
        #: The run's end, if it is among the records; it is delivered after all else.
        self.end = ends[-1] if ends else None
        #: How many records were dropped before they got into the journal.
        self.dropped = sum(record.dropped for record in self.others if isinstance(record, Gap))
        self._records = len(records) - len(ends)
        self._state = state
        #: The calls that were refused for good or set aside, why, and whether they are tried again.
        self._given_up: list[GivenUp] = []
        #: Writer and number of each record given up; a line with metrics comes to two calls.
        self._missed: set[tuple[str, int]] = set()

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def is_fresh(self) -> bool:
        """Whether no call was made yet."""
        return self._state is State.FRESH

    @property
    def is_claimed(self) -> bool:
        """Whether the cursor was moved past it in advance."""
        return self._state is State.CLAIMED

    @property
    def may_be_left(self) -> bool:
        """Whether it can be left to another process, as if it had not been read here."""
        return self._state in (State.FRESH, State.BEGUN)

    @property
    def is_settled(self) -> bool:
        """Whether no call is left."""
        return not (self.calls or self.suspects)

    @property
    def delivered(self) -> int:
        """How many of its records are delivered once it is settled."""
        return self._records - len(self._missed)

    def is_last(self, call: Call) -> bool:
        """Whether only *call* is left."""
        return not any(each is not call for each in (*self.suspects, *islice(self.calls, 2)))

    def next(self) -> Call | None:
        """Return the next call: a suspect that is due, else the first of the others."""
        now = time.monotonic()
        return next((each for each in self.suspects if each.retry_at <= now), self.calls[0] if self.calls else None)

    # -- progress ----------------------------------------------------------------------------------------------------

    def leave_out(self, call: Call) -> None:
        """Drop *call*, for which the plugin has no hook."""
        self.calls.remove(call)

    def begin(self) -> None:
        """Note that its calls are about to be made."""
        self._state = State.BEGUN

    def claim(self) -> None:
        """Note that the cursor was moved past it in advance."""
        self._state = State.CLAIMED

    def unclaim(self) -> None:
        """Note that its only call was not accepted, so that it is fresh again and the claim is void."""
        self._state = State.FRESH

    def leave(self) -> None:
        """Drop all calls: the records are read again, here or by another process."""
        self.suspects.clear()
        self.calls.clear()

    def _touch(self) -> None:
        if self._state is not State.CLAIMED:
            self._state = State.TOUCHED

    # -- results of calls --------------------------------------------------------------------------------------------

    def settled(self, call: Call) -> None:
        """Drop *call*, which was accepted, or was given up and is kept elsewhere."""
        self._touch()
        self._remove(call)

    def refused(self, call: Call, error: str | None, *, is_aside: bool = False) -> None:
        """Drop *call*, which is single: it becomes a dead letter; with *is_aside*, one that is tried again."""
        self.settled(call)
        self._given_up.append(GivenUp(call, error, is_aside))
        if call.hook != RUN_END and call.said is None:
            self._missed.update((each.writer, each.seq) for each in call.records)

    def take_given_up(self) -> list[GivenUp]:
        """Return the calls that were given up since the last call of this; those set aside come last."""
        given_up, self._given_up = self._given_up, []
        return sorted(given_up, key=attrgetter("is_aside"))

    def failed(self, call: Call) -> int:
        """Count a failure of *call* for an unknown reason; return how many there were."""
        self._touch()
        call.failures += 1
        return call.failures

    def halve(self, call: Call) -> None:
        """Replace *call* by its halves, before all calls that are not suspects."""
        self._remove(call)
        self.calls.extendleft(reversed(call.halves()))

    def blame(self, call: Call) -> None:
        """Note that *call* itself, not an outage, is the cause of its failure: halve it, if possible."""
        self._touch()
        if not call.is_single:
            self.halve(call)

    def suspect(self, call: Call, *, seconds: float) -> None:
        """Try others before *call*, which is due again after *seconds*."""
        call.retry_at = time.monotonic() + seconds
        if not any(each is call for each in self.suspects):
            self.calls.remove(call)
            self.suspects.append(call)

    def hurry_suspects(self, *, seconds: float) -> None:
        """Make the suspects due after *seconds* at the latest."""
        for each in self.suspects:
            each.retry_at = min(each.retry_at, time.monotonic() + seconds)

    def clear_suspects(self) -> None:
        """Put the suspects back before the others, in their order."""
        for each in reversed(self.suspects):
            each.retry_at = 0.0
            self.calls.appendleft(each)
        self.suspects.clear()

    def postpone(self, call: Call) -> bool:
        """Move *call* after all others, once; False if it was moved before, or if there is no other."""
        if call.is_postponed or not self.calls:
            return False
        call.is_postponed = True
        self._remove(call)
        self.calls.append(call)
        return True

    def postpone_hook(self, hook: str) -> None:
        """Move the calls of *hook* after those of other hooks, in their order."""
        ordered = sorted(self.calls, key=lambda call: call.hook == hook)
        if ordered[0].hook != RUN_START:
            self.calls = deque(ordered)

    def _remove(self, call: Call) -> None:
        self.suspects = [each for each in self.suspects if each is not call]
        if self.calls and self.calls[0] is call:
            self.calls.popleft()


def calls_of(records: Iterable[Record]) -> list[Call]:
    """Return *records* as calls, in the order of the hooks; each hook's records keep their order."""
    taken: dict[str, list[Any]] = {hook: [] for hook in HOOKS}
    metrics = taken[TAKERS[Metrics]]
    for record in records:
        if type(record) is Metrics:  # nearly all
            metrics.append(record if record.step is not None or record.epoch is None else _at_epoch(record))
            continue
        hook = TAKERS.get(type(record))
        if hook is None or hook == RUN_END:  # the end is delivered after all else
            continue
        taken[hook].append(record)
        if isinstance(record, LogLine) and record.points:
            metrics.append(_points(record))
    return [call for hook, own in taken.items() if own for call in _calls(hook, own)]


def _calls(hook: str, records: list[Any]) -> list[Call]:
    return [Call(hook, records)] if HOOKS[hook].many else [Call(hook, [record]) for record in records]


def _at_epoch(record: Metrics) -> Metrics:
    return attrs.evolve(record, step=record.epoch)


def _points(line: LogLine) -> Metrics:
    return Metrics(
        seq=line.seq,
        time=line.time,
        writer=line.writer,
        logger=line.logger,
        metrics=line.points,
        step=line.step if line.step is not None else line.epoch,
        epoch=line.epoch,
    )
