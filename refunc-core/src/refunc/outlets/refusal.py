"""When a target that refuses records is tried again. One line says so at the first refusal, and one at the end."""

from __future__ import annotations

import time

from refunc.outlets.backoff import Backoff
from refunc.outlets.foreign import own_logger

#: Seconds before a failed write is tried again: the first time, and at most.
FIRST_RETRY, LAST_RETRY = 1.0, 30.0

own_log = own_logger("refunc.journal")


class Refusal:
    """The failed tries of one outlet since its last success."""

    __slots__ = ("_backoff", "retry_at")

    def __init__(self) -> None:
        #: When the next try is due; 0 if the last one succeeded.
        self.retry_at = 0.0
        self._backoff = Backoff(FIRST_RETRY, LAST_RETRY)

    def failed(self, name: object, error: Exception, bound: int) -> None:
        """Note that a try failed, and warn at the first one; *bound* records of the outlet *name* are kept."""
        first = not self.retry_at
        self.retry_at = time.monotonic() + self._backoff.failed()
        if first:
            own_log.warning(
                "%s cannot be written: %s. The training goes on; %s records are kept in memory, later ones are dropped "
                "and counted until it can be written again.",
                name,
                error,
                f"{bound:,}",
            )

    def ended(self, name: object, dropped: int) -> None:
        """Note that a try succeeded after others had failed."""
        self.retry_at = 0.0
        self._backoff.reset()
        own_log.info("%s is written again; %d records were dropped.", name, dropped)
