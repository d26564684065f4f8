"""
The thread of one integration: it opens the backend, and serves the integration's runs in turn, one call at a time.

So a backend that sleeps, raises, or hangs keeps nobody waiting but itself. The thread is called `refunc-<name>`, is a
daemon, and belongs to whoever made the courier: the delivery process, or, in thread mode, the training's `handover`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refunc.delivery.backend import Backend
from refunc.delivery.subscription import Subscription
from refunc.plugins.errors import ConfigurationError, Pause, Retry
from refunc.plugins.hooks import hooks_of, plugged
from refunc.plugins.integration import Passport, delivery_of

#: Seconds between two looks at journals that had nothing new.
POLL = 0.05
#: The part of a core that a courier in the training process may take.
SHARE = 0.05
#: Seconds after which a call is said to be stuck.
STUCK = 60.0

report = logging.getLogger("refunc.delivery")


class Courier:
    """Delivers runs to one integration until it is stopped."""

    def __init__(self, passport: Passport, make: Callable[[], Any], *, is_guest: bool = False) -> None:
        """
        Args:
            make: Gives the integration; called on the courier's thread. What it raises counts as a failed delivery.
            is_guest: Whether the thread lives in a training process, and has to leave the interpreter to it.
        """
        self.passport = passport
        self._make = make
        self._is_guest = is_guest
        self._integration: Any = None
        self._backend: Backend | None = None
        self._subscriptions: dict[Path, Subscription] = {}
        self._stop = threading.Event()
        self._busy_since: float | None = None
        self._busy_with: Subscription | None = None
        self.thread = threading.Thread(target=self._run, name=f"refunc-{passport.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def deliver(self, folder: Path, *, revives: bool = False) -> None:
        """Take the run in *folder*, and where it *revives* also its dead letters; once is enough. From any thread."""
        if folder not in self._subscriptions:
            self._subscriptions[folder] = Subscription(
                folder, self.passport.key, self.passport.name, keeps=self._keeps_cursor(), revives=revives
            )

    def _keeps_cursor(self) -> bool:
        return self.passport.delivery != "live"

    @property
    def is_done(self) -> bool:
        """Whether all runs have ended and are delivered, as far as that can be done here."""
        return self._busy_since is None and all(each.is_done for each in tuple(self._subscriptions.values()))

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """The runs that it has."""
        return tuple(self._subscriptions.values())

    def report_if_stuck(self, after: float = STUCK, *, if_silent: bool = False) -> None:
        """
        Say so where a call has been under way for *after* seconds. From another thread.

        Args:
            if_silent: Only where no earlier call has said what is the matter.
        """
        since, whose = self._busy_since, self._busy_with
        if since is None or whose is None or (if_silent and whose.cursor.state != "ok"):
            return
        if time.monotonic() - since > after:
            whose.report_stuck(time.monotonic() - since)

    def stop(self, seconds: float) -> None:
        """Have the thread end, save cursors and close the integration; wait at most so long for that."""
        self._stop.set()
        if self.thread.is_alive():
            self.thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                began = time.thread_time()
                has_moved = False
                for subscription in tuple(self._subscriptions.values()):
                    has_moved |= self._serve(subscription)
                if self._is_guest:
                    self._stop.wait((time.thread_time() - began) * (1 / SHARE - 1))
                if not has_moved:
                    self._stop.wait(POLL)
        finally:
            self._close()

    def _serve(self, subscription: Subscription) -> bool:
        """Make one call for *subscription* if it has one to make; whether it had."""
        try:
            if not subscription.wants():
                subscription.save_if_due()
                return False
            self._busy_with, self._busy_since = subscription, time.monotonic()
            backend = self._backend or self._open(subscription)
            if backend is None:
                return False
            subscription.advance(backend)
        except Exception as error:  # our own mistake: this run must not stop the others
            report.exception("%s: %s", self.passport.name, subscription.folder)
            subscription.abandon(error)
        finally:
            self._busy_since = self._busy_with = None
        return True

    def _open(self, subscription: Subscription) -> Backend | None:
        """Make and open the integration; None where that failed, which *subscription* then knows."""
        try:
            if self._integration is None:
                self._integration = self._make()
            integration = self._integration
            if hasattr(integration, "open"):
                integration.open()
            self._backend = Backend(plugged(integration), hooks_of(type(integration)), delivery_of(integration))
            return self._backend
        except Pause as error:
            subscription.fail(error, after=60.0, state="paused")
        except (Retry, OSError) as error:
            subscription.fail(error, after=getattr(error, "after", None))
        except ConfigurationError as error:
            subscription.abandon(error)
        except BaseException as error:  # a plugin's code may raise anything, SystemExit too
            if subscription.cursor.state != "broken":  # said once, and not at each try
                report.error("%s: cannot be opened", self.passport.name, exc_info=error)
            subscription.fail(error, state="broken")
        return None

    def _close(self) -> None:
        for subscription in self._subscriptions.values():
            subscription.close()
        if self._backend is not None and hasattr(self._integration, "close"):
            try:
                self._integration.close()
            except BaseException as error:  # see `_open`
                report.error("%s: closing failed", self.passport.name, exc_info=error)


def load(path: str) -> type:
    """
    Import the integration's class that *path*, `module:name`, names.

    Raises:
        TypeError: It names something else. A journal may be anybody's, and say `subprocess:Popen`.
        Exception: Whatever the module raises.
    """
    import importlib

    module, _, name = path.partition(":")
    kind = getattr(importlib.import_module(module), name)
    if not isinstance(kind, type) or not hooks_of(kind):
        raise TypeError(f"{path} is no class with hooks.")
    return kind
