"""
`refunc sync`: delivery of runs at rest, to the targets that this user's trainings recorded, or that the user names.

Runs in the calling process. A run that a delivery process is delivering is left to it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from refunc.delivery.courier import Courier
from refunc.delivery.custody import load_cursor
from refunc.delivery.dead_letters import DeadLetters
from refunc.delivery.lock import DeliveryLock
from refunc.delivery.origin import asked_for, kind_of, remake
from refunc.delivery.said_later import is_owed
from refunc.delivery.subscription import Subscription
from refunc.delivery.waiting import health_at, is_done_at
from refunc.journal.alive import is_alive
from refunc.journal.record import Tags
from refunc.plugins.hooks import TAKERS, hooks_of
from refunc.plugins.integration import DELIVERIES, Health, Passport, passport_of

_TICK = 0.02
#: Seconds between two calls of `watch`.
WATCH = 0.2
#: Seconds within which a process that retries an unreachable tracker releases the run.
BETWEEN_TRIES = 1.0


@attrs.frozen
class Target:
    """One integration of one run, and the progress of its delivery."""

    folder: Path
    passport: Passport
    health: Health
    is_done: bool
    is_taken: bool = False  # another process delivers it
    is_own: bool = True  # this user's training recorded it, or the user names it
    is_trusted: bool = False  # the user allows it, although another user wrote it
    integration: Any = None  # the integration to deliver to, if it is not made from the journal

    @property
    def is_held(self) -> bool:
        """Whether it waits for the user to trust the run."""
        return not self.is_own and not self.is_trusted

    @property
    def dead_letters(self) -> Path | None:
        """The file of its dead letters, if it has any."""
        path = DeadLetters(self.folder, self.passport.key).path
        return path if path.is_file() else None


def targets_of(folder: Path) -> list[Target]:
    """Return the integrations that the journal in *folder* names, each once; one pass over the journal."""
    return [target_of(folder, passport, is_own=is_own) for passport, is_own in asked_for(folder)]


def target_of(folder: Path, passport: Passport, *, is_own: bool = True, integration: Any = None) -> Target:
    """Return the target with the progress of delivering *folder* to one integration."""
    cursor = load_cursor(folder, passport.key, passport.name)
    is_done = is_done_at(cursor) and not (is_owed(cursor) and _takes_tags(passport, integration))
    return Target(folder, passport, health_at(cursor), is_done, is_own=is_own, integration=integration)


def _takes_tags(passport: Passport, integration: Any) -> bool:
    """Whether an integration has the hook by which annotations are delivered; if it cannot be imported, it may."""
    try:
        return TAKERS[Tags] in hooks_of(type(integration) if integration is not None else kind_of(passport))
    except BaseException:  # a plugin's module may do anything
        return True


def target_at(folder: Path, integration: Any) -> Target:
    """Return the same for *integration*, which the run need not name."""
    return target_of(folder, passport_of(integration), integration=integration)


def sync(
    targets: Iterable[Target],
    *,
    patience: float,
    follow: bool = False,
    revives: bool = False,
    tell: Callable[[Target], Any] = lambda _: None,
    watch: Callable[[list[Target], float], Any] | None = None,
) -> list[Target]:
    """
    Deliver to *targets* and return each with its progress.

    Args:
        patience: Seconds without any acknowledgement after which the rest is given up.
        follow: Continue in any case until every run has ended and is delivered.
        revives: Try dead letters again, each once.
        tell: Called for each target that is settled.
        watch: Called from time to time with the remaining targets and the seconds until they are given up without an
        acknowledgement.
    """
    couriers: _Couriers = {}
    open_targets: list[Target] = []
    settled: list[Target] = []
    for target in targets:
        if target.is_held:
            settled.append(target)
            tell(target)
        elif not follow and _is_taken(target):
            settled.append(attrs.evolve(target, is_taken=True))
            tell(settled[-1])
        else:
            open_targets.append(target)
            _courier_for(target, couriers).deliver(target.folder, revives=revives)
    for courier in couriers.values():
        courier.start()
    try:
        for target in _settling(open_targets, couriers, patience, follow, watch):
            settled.append(_as_it_stands(target, couriers))
            tell(settled[-1])
    finally:
        for courier in couriers.values():
            courier.stop(10.0)
    return settled


#: Couriers by their names and options: a foreign record must not replace one of this user, even with the same key.
_Couriers = dict[tuple[Any, ...], Courier]


def _which(target: Target) -> tuple[Any, ...]:
    passport = target.passport
    return (passport.key, passport.path, repr(passport.options), passport.withheld, target.is_own)


def _courier_for(target: Target, couriers: _Couriers) -> Courier:
    which = _which(target)
    if which not in couriers:
        make = partial(_made, target)
        couriers[which] = Courier(_with_delivery(target.passport), make, at_the_end=(0.0,))
    return couriers[which]


def _made(target: Target) -> Any:
    if target.integration is not None:
        return target.integration
    return remake(target.passport, is_own=target.is_own)


def _subscription(target: Target, couriers: _Couriers) -> Subscription:
    return next(each for each in couriers[_which(target)].subscriptions if each.folder == target.folder)


def _as_it_stands(target: Target, couriers: _Couriers) -> Target:
    subscription = _subscription(target, couriers)
    if not subscription.is_ours and not os.access(target.folder, os.W_OK):
        said = "its folder is not writable, so progress cannot be saved. Copy the run, and sync the copy"
        return attrs.evolve(target, health=attrs.evolve(target.health, last_error=said))
    if not subscription.is_ours:
        now = target_of(target.folder, target.passport)
        return attrs.evolve(target, health=now.health, is_done=now.is_done)
    cursor = subscription.cursor
    is_done = is_done_at(cursor) and not is_owed(cursor)
    return attrs.evolve(target, health=health_at(cursor), is_done=is_done)


def _as_counted(target: Target, couriers: _Couriers) -> Target:
    """Return *target* with its progress, by the counts from when it was found: reading journals may take long."""
    cursor, found = _subscription(target, couriers).cursor, target.health
    gone = cursor.delivered + cursor.dead - found.delivered - found.dead
    counts = {"delivered": cursor.delivered, "dead": cursor.dead, "aside": cursor.aside}
    waiting = max(cursor.aside, found.waiting - max(0, gone))
    health = Health(found.name, cursor.state, waiting=waiting, last_error=cursor.last_error, **counts)
    return attrs.evolve(target, health=health)


def _settling(
    targets: list[Target],
    couriers: _Couriers,
    patience: float,
    follow: bool,
    watch: Callable[[list[Target], float], Any] | None,
) -> Iterator[Target]:
    """Yield each target when it is done or given up."""
    remaining = list(targets)
    seen: dict[tuple[Path, str], int] = {}
    watched_at, moved_at = 0.0, time.monotonic()
    while remaining:
        for target in list(remaining):
            subscription = _subscription(target, couriers)
            # Calls, not records: records count per window, and a window of a thousand artifacts may take an hour.
            which, settled = (target.folder, target.passport.key), subscription.settled
            if seen.get(which) != settled:
                seen[which], moved_at = settled, time.monotonic()
            is_live = not follow and is_alive(target.folder)
            at_rest = is_live and not subscription.revives and not health_at(subscription.cursor).waiting
            if subscription.is_done or at_rest:
                remaining.remove(target)
                yield target
        if not follow and time.monotonic() - moved_at > patience:
            for courier in couriers.values():
                # Half, because the call without a result began a little after `moved_at`.
                courier.report_if_stuck(max(0.1, patience / 2), if_silent=True)
            yield from remaining
            return
        if watch is not None and remaining and time.monotonic() - watched_at > WATCH:
            watched_at = time.monotonic()
            left = math.inf if follow else patience - (watched_at - moved_at)
            watch([_as_counted(target, couriers) for target in remaining], left)
        time.sleep(_TICK)


def _is_taken(target: Target) -> bool:
    """Whether another process delivers; one that only waits for a tracker releases a run at rest between tries."""
    lock = DeliveryLock(target.folder, target.passport.key)
    deadline = time.monotonic() + (0.0 if is_alive(target.folder) else BETWEEN_TRIES)
    try:
        while not lock.take():
            if time.monotonic() >= deadline:
                return True
            time.sleep(_TICK)
        return False
    except OSError:
        return False
    finally:
        lock.release()


def _with_delivery(passport: Passport) -> Passport:
    """Return *passport* with its class's way of delivery; if it cannot be imported, opening it reports why."""
    try:
        said = getattr(kind_of(passport), "delivery", passport.delivery)
    except BaseException:  # a plugin's module may do anything
        return passport
    return attrs.evolve(passport, delivery=said) if said in DELIVERIES else passport
