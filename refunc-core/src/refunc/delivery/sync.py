"""
`refunc sync`: delivery of runs at rest, with what their journals and the environment say of their integrations.

Runs in the calling process. A run that a delivery process has is left to that process.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from refunc.delivery.courier import Courier, load
from refunc.delivery.cursor import Cursor, DeliveryLock
from refunc.delivery.dead_letters import DeadLetters
from refunc.delivery.subscription import Subscription
from refunc.journal.file import is_locked
from refunc.journal.folder import RUN_JSON
from refunc.journal.reader import read_journal
from refunc.journal.record import Attach
from refunc.plugins.errors import ConfigurationError
from refunc.plugins.integration import DELIVERIES, Health, Passport, build
from refunc.plugins.options import check_withheld

_TICK = 0.02
#: Seconds in which a process that tries a tracker in vain has let go of the run.
BETWEEN_TRIES = 1.0


@attrs.frozen
class Target:
    """One integration of one run, and how far its delivery is."""

    folder: Path
    passport: Passport
    health: Health
    is_done: bool
    is_taken: bool = False  # another process delivers it

    @property
    def dead_letters(self) -> Path | None:
        """Where its dead letters lie, if it has any."""
        path = DeadLetters(self.folder, self.passport.key).path
        return path if path.is_file() else None


def targets_of(folder: Path) -> list[Target]:
    """Return the integrations that the journal in *folder* names, each once; one pass over the journal."""
    found: dict[str, Passport] = {}
    for record in read_journal(folder):
        # The key names files, so one that would lie elsewhere is as good as damaged.
        if isinstance(record, Attach) and record.key not in found and re.fullmatch(r"[\w.-]+", record.key):
            found[record.key] = Passport(
                record.name,
                record.path,
                record.key,
                record.options,
                record.options,
                target=record.target,
                withheld=record.withheld,
            )
    return [target_of(folder, passport) for passport in found.values()]


def target_of(folder: Path, passport: Passport) -> Target:
    """Return how far delivery of *folder* to one integration is."""
    cursor = Cursor.load(folder, passport.key, passport.name)
    return Target(folder, passport, cursor.health(), cursor.is_done)


def sync(
    targets: Iterable[Target],
    *,
    patience: float,
    follow: bool = False,
    revives: bool = False,
    tell: Callable[[Target], Any] = lambda _: None,
) -> list[Target]:
    """
    Deliver to *targets* and return how far each is then.

    Args:
        patience: Seconds without any acknowledgement after which what is left is left.
        follow: Go on, whatever happens, until every run has ended and is delivered.
        revives: Try dead letters again, each once.
        tell: Called for each target that is settled.
    """
    couriers: dict[str, Courier] = {}
    open_targets: list[Target] = []
    settled: list[Target] = []
    for target in targets:
        if not follow and _is_taken(target):
            settled.append(attrs.evolve(target, is_taken=True))
            tell(settled[-1])
        else:
            open_targets.append(target)
            _courier_for(target, couriers).deliver(target.folder, revives=revives)
    for courier in couriers.values():
        courier.start()
    try:
        for target in _settling(open_targets, couriers, patience, follow):
            settled.append(_as_it_stands(target, couriers))
            tell(settled[-1])
    finally:
        for courier in couriers.values():
            courier.stop(10.0)
    return settled


def _courier_for(target: Target, couriers: dict[str, Courier]) -> Courier:
    key = target.passport.key
    if key not in couriers:
        couriers[key] = Courier(_with_delivery(target.passport), partial(_make, target.passport))
    return couriers[key]


def _subscription(target: Target, couriers: dict[str, Courier]) -> Subscription:
    return next(each for each in couriers[target.passport.key].subscriptions if each.folder == target.folder)


def _as_it_stands(target: Target, couriers: dict[str, Courier]) -> Target:
    subscription = _subscription(target, couriers)
    if not subscription.is_ours:
        return target_of(target.folder, target.passport)
    return attrs.evolve(target, health=subscription.cursor.health(), is_done=subscription.cursor.is_done)


def _settling(targets: list[Target], couriers: dict[str, Courier], patience: float, follow: bool) -> Iterator[Target]:
    """Yield targets as they are done, or given up."""
    remaining = list(targets)
    seen: dict[tuple[Path, str], int] = {}
    moved_at = time.monotonic()
    while remaining:
        for target in list(remaining):
            subscription = _subscription(target, couriers)
            # Calls, not records: those count by the window, and one of a thousand artifacts may take an hour.
            which, settled = (target.folder, target.passport.key), subscription.settled
            if seen.get(which) != settled:
                seen[which], moved_at = settled, time.monotonic()
            is_live = not follow and is_locked(target.folder / RUN_JSON)
            at_rest = is_live and not subscription.revives and not subscription.cursor.health().waiting
            if subscription.is_done or at_rest:
                remaining.remove(target)
                yield target
        if not follow and time.monotonic() - moved_at > patience:
            for courier in couriers.values():
                # Half, because the call that nothing comes of began a little after `moved_at`.
                courier.report_if_stuck(max(0.1, patience / 2), if_silent=True)
            yield from remaining
            return
        time.sleep(_TICK)


def _is_taken(target: Target) -> bool:
    """Whether another process delivers; one that only waits for the tracker of a run at rest lets go between tries."""
    lock = DeliveryLock(target.folder, target.passport.key)
    deadline = time.monotonic() + (0.0 if is_locked(target.folder / RUN_JSON) else BETWEEN_TRIES)
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


def _make(passport: Passport) -> Any:
    try:
        kind = load(passport.path)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # no waiting installs it
        said = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"its class {passport.path!r} cannot be imported: {said}") from error
    check_withheld(passport.name, kind, passport.withheld)
    return build(kind, passport.name, passport.options or {})


def _with_delivery(passport: Passport) -> Passport:
    """Return *passport* with the way of delivery that the class says; where it cannot be imported, opening says why."""
    try:
        said = getattr(load(passport.path), "delivery", passport.delivery)
    except BaseException:  # a plugin's module may do anything
        return passport
    return attrs.evolve(passport, delivery=said) if said in DELIVERIES else passport
