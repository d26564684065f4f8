"""
One run for one integration: windows from the journal, hooks called, the cursor moved.

Everything here runs on the integration's courier thread, except `report_stuck`. `settlement` decides about each call.
"""

from __future__ import annotations

import time
from pathlib import Path

import attrs

from refunc.delivery.backend import Backend
from refunc.delivery.cursor import Cursor
from refunc.delivery.custody import Custody
from refunc.delivery.dead_letters import DeadLetters, is_aside
from refunc.delivery.feed import Feed
from refunc.delivery.said_later import is_owed
from refunc.delivery.settlement import Settlement
from refunc.delivery.waiting import is_done_at
from refunc.delivery.window import Call, State, Window
from refunc.outlets.foreign import own_logger

#: Seconds before each retry of records that were set aside, once the run has ended and all else is delivered.
AT_THE_END = (0.0, 5.0, 25.0)
#: Seconds between two such retries while the run continues and nothing else is to be delivered.
MEANWHILE = 60.0

own_log = own_logger("refunc.delivery")


class Subscription:
    """Delivers one run. `advance` does one small thing at a time and never raises."""

    def __init__(
        self,
        folder: Path,
        key: str,
        name: str,
        *,
        keeps: bool = True,
        revives: bool = False,
        at_the_end: tuple[float, ...] = AT_THE_END,
    ) -> None:
        """
        Args:
            keeps: Whether delivery continues where an earlier one stopped; a `live` integration starts again.
            revives: Try dead letters again, each once, when all else is delivered.
            at_the_end: Seconds before each retry of records that were set aside, when the run has ended.
        """
        self.folder = folder
        self.name = name
        #: Whether there may be dead letters to try again.
        self.revives = revives
        self._custody = Custody(folder, key, name, keeps=keeps)
        self._feed = Feed(folder, self.cursor.positions)
        self._letters = DeadLetters(folder, key)
        self._settlement = Settlement(folder, name, self._custody, self._feed, self._letters)
        self._tries = list(at_the_end)
        self._aside_at = time.monotonic() + MEANWHILE
        self._has_called = False

    # -- state -------------------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> Cursor:
        """The progress of delivery; the saved cursor may lag behind it, or be ahead if another process delivers."""
        return self._custody.cursor

    @property
    def settled(self) -> int:
        """How many calls were settled; read by any thread to measure progress."""
        return self._settlement.settled

    @property
    def retry_at(self) -> float:
        """The time of the next try, by the monotonic clock."""
        return self._settlement.retry_at

    @retry_at.setter
    def retry_at(self, retry_at: float) -> None:
        self._settlement.retry_at = retry_at

    @property
    def is_abandoned(self) -> bool:
        """Whether it is left to a later `refunc sync`."""
        return self._settlement.is_abandoned

    @property
    def is_done(self) -> bool:
        """Whether the run has ended and is completely delivered, is gone, or was given up."""
        if self.is_abandoned or self._feed.is_gone:
            return True
        is_left = self.revives or (self.cursor.aside and self._tries)
        is_settled = self._settlement.window.is_settled and not is_left
        return is_settled and is_done_at(self.cursor) and not is_owed(self.cursor)

    @property
    def is_ours(self) -> bool:
        """Whether this process delivers, so that `cursor` is current and the saved one may lag behind."""
        return self._custody.is_held

    def report_stuck(self, seconds: float) -> None:
        """Report that a hook has not returned for *seconds*; called by another thread."""
        self._settlement.say_stuck(seconds)

    def fail(self, error: BaseException, *, after: float | None = None, state: str = "retrying") -> None:
        """Note *error*, which no record caused, and try again later."""
        self._settlement.fail(error, after=after, state=state)

    def abandon(self, error: BaseException | str) -> None:
        """Leave the rest to a later `refunc sync`."""
        self._settlement.abandon(error)

    def close(self) -> None:
        """Save the cursor and let another process continue."""
        if self._has_called and not self.is_abandoned and not self.cursor.ended:
            self.cursor.state = "stopped" if self.cursor.state == "ok" else self.cursor.state
        self._letters.remove_delivered()
        self._custody.save()
        self._custody.release()

    def save_if_due(self) -> None:
        """Save a cursor that has moved, at most every fiftieth of a second, and remove delivered letters."""
        self._letters.remove_delivered(at_once=False)
        self._custody.save_if_due()

    # -- delivering --------------------------------------------------------------------------------------------------

    def wants(self) -> bool:
        """Whether there is a call to make now."""
        if time.monotonic() < self.retry_at:
            self._step_aside()
            return False
        if self.is_abandoned or not self._is_ready():
            return False
        settlement = self._settlement
        while settlement.window.is_settled:
            settlement.window = self._feed.window(self.cursor)
            if not settlement.window.has_records:
                break
            if not settlement.window.calls:
                settlement.finish_window()
        if settlement.window.is_settled and (self.revives or self._is_aside_due()):
            self._fill_letters()
        return settlement.window.next() is not None

    def advance(self, backend: Backend) -> None:
        """Make the next call of the window and settle its result."""
        settlement = self._settlement
        if settlement.window.is_fresh:
            settlement.begin(backend)
        call = settlement.window.next()
        if call is None:
            return
        if not self._has_called:
            self._has_called = True
            own_log.debug("%s: delivering %s", self.name, self.folder.name)
        try:
            self._make(call, backend)
        except BaseException as error:  # a plugin's code: it may also raise SystemExit
            settlement.failed(call, error, backend)
            return
        settlement.taken(call)

    def _make(self, call: Call, backend: Backend) -> None:
        run = self._feed.run(self.cursor)
        if call.letter is None:
            backend.perform(call, run)
        elif call.hook in backend.names:
            with self._letters.delivering(call.letter, is_once=backend.is_once):
                backend.perform(call, attrs.evolve(run, revived=True))
            self._letters.remove_delivered(at_once=self._settlement.window.is_last(call))
            if is_aside(call.letter):
                self.cursor.aside = max(0, self.cursor.aside - 1)
            else:
                self.cursor.dead = max(0, self.cursor.dead - 1)

    def _is_ready(self) -> bool:
        """Whether the run exists and this process delivers it."""
        if not self._custody.is_held:
            if not self._feed.is_made() or not self._custody.take():
                return False
            self._feed.go_on_at(self.cursor.positions)
        return True

    def _is_aside_due(self) -> bool:
        """Whether records that were set aside are to be tried again now; if so, each is tried once."""
        if not self.cursor.aside:
            return False
        if self.cursor.ended:
            if not self._tries:
                return False
            self._aside_at = min(self._aside_at, time.monotonic() + self._tries[0])
        if time.monotonic() < self._aside_at:
            return False
        self._aside_at = time.monotonic() + MEANWHILE
        self._letters.tried.clear()
        if self.cursor.ended:
            self._tries.pop(0)
        return True

    def _fill_letters(self) -> None:
        self._letters.remove_delivered()
        lines = self._letters.lines()
        self.cursor.dead, self.cursor.aside = self._letters.count()  # a user may have removed some
        calls = self._letters.untried(lines, aside_only=not self.revives)
        window = self._settlement.window = Window(calls, state=State.BEGUN)
        if not window.calls:
            self.revives = False
            self._custody.save()

    def _step_aside(self) -> None:
        """
        Until the next try, release an ended run to other processes, such as a `refunc sync` with new credentials.

        Not if a part of the window is settled, or if the cursor was moved past it before it was sent.
        """
        window = self._settlement.window
        if window.may_be_left and self._custody.is_held and self._custody.keeps and self._feed.is_at_rest:
            window.leave()
            self._letters.remove_delivered()
            self._custody.release()
