"""
How the delivery of one run to one integration stands: it goes on, it waits until a time, or it is abandoned.

The state is in the cursor, so that other processes read it.
"""

from __future__ import annotations

import random
import time

from refunc.delivery.cursor import Cursor
from refunc.delivery.custody import Custody
from refunc.outlets.backoff import Backoff
from refunc.outlets.foreign import own_logger

#: Seconds before the first repetition of a call, and the most; the time doubles between them, with jitter.
FIRST_DELAY, LAST_DELAY = 0.5, 30.0
#: The most seconds that a backend is left alone at its own request.
LONGEST_AFTER = 60.0

own_log = own_logger("refunc.delivery")


class Standing:
    """Runs on the integration's courier thread, except `say_stuck`."""

    def __init__(self, name: str, custody: Custody) -> None:
        self.retry_at = 0.0
        self.is_abandoned = False
        self._name = name
        self._custody = custody
        self._backoff = Backoff(FIRST_DELAY, LAST_DELAY)

    @property
    def cursor(self) -> Cursor:
        """The progress of delivery."""
        return self._custody.cursor

    def fail(
        self,
        error: BaseException | str,
        *,
        after: float | None = None,
        at_most: float | None = None,
        state: str = "retrying",
    ) -> None:
        """Note *error* and try again later: *after* so many seconds, or by the back-off, up to *at_most*."""
        delay = self._backoff.failed(at_most=at_most)
        # Full jitter would often ask a struggling server at once; half of it spreads clients as well.
        jitter = random.uniform(0.5, 1.0)  # noqa: S311  # not a secret
        pause = min(after, LONGEST_AFTER) if after is not None else delay * jitter
        self.retry_at = time.monotonic() + max(0.0, pause)
        self.cursor.note(error)
        if self.cursor.state != state:
            own_log.warning("%s: %s: %s", self._name, state, self.cursor.last_error)
        self.cursor.state = state
        self._custody.save()

    def abandon(self, error: BaseException | str) -> None:
        """Leave the rest to a later `refunc sync`."""
        self.cursor.note(error)
        self.cursor.state = "quarantined"
        self.is_abandoned = True
        own_log.error(
            "%s: delivery is stopped until this is fixed and `refunc sync` is run: %s",
            self._name,
            self.cursor.last_error,
        )
        self._custody.save()

    def say_stuck(self, seconds: float) -> None:
        """Report that a hook has not returned for *seconds*; called by another thread."""
        self.cursor.state = "stuck"
        self.cursor.note(f"a hook has not returned for {seconds:.0f} s")
        self._custody.save()

    def recover(self) -> None:
        """Wait no longer: a call has had an outcome."""
        self._backoff.reset()
        self.retry_at = 0.0
        if self.cursor.state != "ok":
            own_log.debug("%s: delivering again", self._name)
            self.cursor.state = "ok"
