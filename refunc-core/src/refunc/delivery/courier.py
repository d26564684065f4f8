"""
The thread of one integration: it opens the backend, and serves the integration's runs in turn, one call at a time.

So a backend that sleeps, raises or hangs delays no other one. The thread is called `refunc-<name>`, is a daemon, and
belongs to the creator of the courier: the delivery process or, in thread mode, the training's `handover`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refunc.delivery.backend import Backend
from refunc.delivery.settlement import PAUSE
from refunc.delivery.subscription import AT_THE_END, Subscription
from refunc.journal.opening import NoDescriptorError
from refunc.outlets.foreign import own_logger
from refunc.plugins.errors import ConfigurationError
from refunc.plugins.hooks import hooks_of, plugged
from refunc.plugins.integration import Passport, delivery_of
from refunc.plugins.judgement import judge
from refunc.processes import lifetime

#: Seconds between two checks of journals that had nothing new.
POLL = 0.05
#: The part of a core that a courier in the training process may use.
SHARE = 0.05
#: Seconds after which a call is reported as stuck.
STUCK = 60.0

own_log = own_logger("refunc.delivery")


class Courier:
    """Delivers runs to one integration until it is stopped."""

    def __init__(
        self,
        passport: Passport,
        make: Callable[[], Any],
        *,
        is_guest: bool = False,
        at_the_end: tuple[float, ...] = AT_THE_END,
    ) -> None:
        """
        Args:
            make: Returns the integration; called on the courier's thread. An exception counts as a failed delivery.
            is_guest: Whether the thread lives in a training process, and has to yield the interpreter to it.
            at_the_end: Seconds before each retry of records that were set aside, when a run has ended.
        """
        self.passport = passport
        self._at_the_end = at_the_end
        self._make = make
        self._is_guest = is_guest
        self._integration: Any = None
        self._backend: Backend | None = None
        self._subscriptions: dict[Path, Subscription] = {}
        self._stop = threading.Event()
        self._busy_since: float | None = None
        self._moved_at = 0.0  # when it was last busy
        self._busy_with: Subscription | None = None
        self.thread = threading.Thread(target=self._run, name=f"refunc-{passport.name}", daemon=True)

    def start(self) -> None:
        """Start the thread, unless the interpreter is ending: `refunc sync` delivers then."""
        lifetime.start(self.thread)

    def deliver(self, folder: Path, *, revives: bool = False) -> None:
        """Deliver the run in *folder*, with *revives* also its dead letters. Idempotent; from any thread."""
        if folder not in self._subscriptions:
            self._subscriptions[folder] = Subscription(
                folder,
                self.passport.key,
                self.passport.name,
                keeps=self._keeps_cursor(),
                revives=revives,
                at_the_end=self._at_the_end,
            )

    def _keeps_cursor(self) -> bool:
        return self.passport.delivery != "live"

    @property
    def is_done(self) -> bool:
        """Whether all runs have ended and are delivered, as far as is possible here."""
        return self._busy_since is None and all(each.is_done for each in [*self._subscriptions.values()])

    @property
    def may_close(self) -> bool:
        """Whether it is done, and has stayed open for as long after that as the integration asked for."""
        if not self.is_done:
            return False
        try:
            stays = float(getattr(self._integration, "stays_open", 0.0))
        except Exception:  # a plugin's own code
            stays = 0.0
        return not time.monotonic() - self._moved_at < stays

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """The subscriptions of its runs."""
        return (*self._subscriptions.values(),)

    def report_if_stuck(self, after: float = STUCK, *, if_silent: bool = False) -> None:
        """
        Report a call that has been running for *after* seconds. From another thread.

        Args:
            if_silent: Only if no earlier call has reported a problem.
        """
        since, whose = self._busy_since, self._busy_with
        if since is None or whose is None or (if_silent and whose.cursor.state != "ok"):
            return
        if time.monotonic() - since > after:
            whose.report_stuck(time.monotonic() - since)

    def stop(self, seconds: float) -> None:
        """Make the thread end, save cursors and close the integration; wait at most *seconds* for that."""
        self._stop.set()
        if self.thread.is_alive():
            self.thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                began = time.thread_time()
                has_moved = False
                for subscription in [*self._subscriptions.values()]:
                    has_moved |= self._serve(subscription)
                if self._is_guest:
                    self._stop.wait((time.thread_time() - began) * (1 / SHARE - 1))
                if not has_moved:
                    self._stop.wait(POLL)
        finally:
            self._close()

    def _serve(self, subscription: Subscription) -> bool:
        """Make one call for *subscription* if it has one, and return whether it had."""
        try:
            if not subscription.wants():
                subscription.save_if_due()
                return False
            self._busy_with, self._busy_since = subscription, time.monotonic()
            backend = self._backend or self._open(subscription)
            if backend is None:
                return False
            subscription.advance(backend)
        except NoDescriptorError as error:  # records wait in the run until a file can be opened
            subscription.fail(error)
            return False
        except Exception as error:  # a bug in refunc: this run must not stop the others
            own_log.exception("%s: %s", self.passport.name, subscription.folder)
            subscription.abandon(error)
        finally:
            if self._busy_since is not None:
                self._moved_at = time.monotonic()  # first: once it is not busy, it may be done
            self._busy_since = self._busy_with = None
        return True

    def _open(self, subscription: Subscription) -> Backend | None:
        """Make and open the integration; None if that failed, which is noted in *subscription*."""
        try:
            if self._integration is None:
                self._integration = self._make()
            integration = self._integration
            if hasattr(integration, "open"):
                integration.open()
            ping = getattr(integration, "ping", None)
            self._backend = Backend(
                plugged(integration),
                hooks_of(type(integration)),
                delivery_of(integration),
                ping if callable(ping) else None,
            )
            return self._backend
        except ConfigurationError as error:
            subscription.abandon(error)
        except BaseException as error:  # a plugin's code may raise anything, SystemExit too
            judgement = judge(error)
            if judgement.kind == "denied":
                subscription.fail(error, after=PAUSE, state="paused")
                return None
            if judgement.kind == "away":
                subscription.fail(error, after=judgement.after)
                return None
            if subscription.cursor.state != "broken":  # reported once, not at each try
                own_log.error("%s: cannot be opened", self.passport.name, exc_info=error)
            subscription.fail(error, state="broken")
        return None

    def _close(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.close()
        if self._backend is not None and hasattr(self._integration, "close"):
            try:
                self._integration.close()
            except BaseException as error:  # see `_open`
                own_log.error("%s: closing failed", self.passport.name, exc_info=error)
