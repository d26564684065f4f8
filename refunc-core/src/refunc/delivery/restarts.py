"""When a delivery process that died is started again, one for each of its integrations."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from refunc.delivery.pipe import Attachment, Process
from refunc.outlets.backoff import delay_after
from refunc.outlets.foreign import own_logger

#: Seconds before a process that died without progress, or could not be started, is started again: the first time, and
#: the most.
FIRST_RESTART, LAST_RESTART = 0.5, 60.0

own_log = own_logger("refunc.delivery")


class Restarts:
    """The planned starts, by the key of an integration."""

    def __init__(self) -> None:
        #: When a process is started, and its attachments.
        self._planned: dict[str, tuple[float, list[Attachment]]] = {}
        #: The positions of the cursors at the last death, and the number of deaths there.
        self._deaths: dict[str, tuple[Any, int]] = {}

    @property
    def has_deaths(self) -> bool:
        """Whether a process has died: from then on, integrations do not share one."""
        return bool(self._deaths)

    def join(self, attachment: Attachment) -> bool:
        """Add *attachment* to the start that is planned for its integration; False if none is."""
        key = attachment.passport.key
        if key not in self._planned:
            return False
        self._planned[key][1].append(attachment)
        return True

    def plan(self, dead: Process) -> None:
        """Plan a process of its own for each integration of *dead*: at once, or later if it died without progress."""
        by_key: dict[str, list[Attachment]] = {}
        for attachment in dead.attachments:
            by_key.setdefault(attachment.passport.key, []).append(attachment)
        for key, attachments in by_key.items():
            # Not the delivered records: with at-most-once, the cursor moves although a dying process delivers nothing.
            reached = [attachment.cursor().positions for attachment in attachments]
            before, count = self._deaths.get(key, (None, 0))
            count = count + 1 if reached == before else 0
            self._deaths[key] = (reached, count)
            delay = delay_after(count, 2 * FIRST_RESTART, LAST_RESTART)
            self._planned[key] = (time.monotonic() + delay, attachments)
            if count == 1:
                own_log.warning(
                    "%s: its delivery process keeps dying (%s) and delivers nothing. The training is not affected. "
                    "It is restarted from time to time. Records stay in the run; `refunc sync` can deliver them.",
                    attachments[0].passport.name,
                    dead.manner(),
                )

    def start_due(self, start: Callable[[list[Attachment]], bool], *, at_once: bool) -> None:
        """
        Have *start* start the processes that are due; those that it cannot start stay planned.

        Args:
            at_once: Start all of them.
        """
        for key, (due, attachments) in self._planned.copy().items():
            if (at_once or time.monotonic() >= due) and start(attachments):
                del self._planned[key]

    def take_all(self) -> list[Attachment]:
        """Give up all planned starts, and return their attachments."""
        waiting = [attachment for _, attachments in self._planned.values() for attachment in attachments]
        self._planned.clear()
        return waiting
