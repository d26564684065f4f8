"""
One run for one integration: windows from the journal, hooks called, the cursor moved.

Everything here runs on the integration's courier thread, but `report_stuck`.
"""

from __future__ import annotations

import logging
import random
import time
from pathlib import Path

import attrs

from refunc.delivery.backend import Backend
from refunc.delivery.cursor import Cursor
from refunc.delivery.custody import Custody
from refunc.delivery.dead_letters import DeadLetters
from refunc.delivery.feed import Feed
from refunc.delivery.window import TRIES, Call, Window
from refunc.plugins.errors import Pause, Reject, Retry

#: Seconds before the first repetition of a call, and at most; between them it doubles, with jitter.
FIRST_DELAY, LAST_DELAY = 0.5, 30.0
#: Seconds between two calls to a backend that refuses the credentials.
PAUSE = 60.0
#: Dead letters in a row, for unknown errors, after which an integration is left alone.
QUARANTINE = 10

report = logging.getLogger("refunc.delivery")


class Subscription:
    """Delivers one run. `advance` does one small thing at a time and never raises."""

    def __init__(self, folder: Path, key: str, name: str, *, keeps: bool = True, revives: bool = False) -> None:
        """
        Args:
            keeps: Whether delivery goes on where an earlier one stopped; a `live` integration begins anew.
            revives: Try dead letters again, each once, when all else is delivered.
        """
        #: How many calls were settled; from any thread, to see whether there is progress.
        self.settled = 0
        self.folder = folder
        self.name = name
        self.retry_at = 0.0
        self.is_abandoned = False
        #: Whether there are dead letters to be tried again, as far as is known.
        self.revives = revives
        self._custody = Custody(folder, key, name, keeps=keeps)
        self._feed = Feed(folder, self.cursor.positions)
        self._letters = DeadLetters(folder, key)
        self._window = Window()
        self._delay = 0.0
        self._dead_in_row = 0
        self._called = False

    # -- what others ask ---------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> Cursor:
        """How far delivery is; the saved one may be behind it, or before it where another process delivers."""
        return self._custody.cursor

    @property
    def is_done(self) -> bool:
        """Whether the run has ended and all of it is delivered, or it is gone, or was given up."""
        if self.is_abandoned or self._feed.is_gone:
            return True
        return not self._window.calls and not self.revives and self.cursor.is_done

    @property
    def is_ours(self) -> bool:
        """Whether this process is the one that delivers, so that `cursor` is true and the saved one may lag behind."""
        return self._custody.is_held

    def report_stuck(self, seconds: float) -> None:
        """Say that a hook has not come back for *seconds*; called by another thread."""
        self.cursor.state = "stuck"
        self.cursor.note(f"a hook has not returned for {seconds:.0f} s")
        self._custody.save()

    def fail(self, error: BaseException, *, after: float | None = None, state: str = "retrying") -> None:
        """Note *error* and come back later: after so many seconds, or as the back-off says."""
        self._delay = min(LAST_DELAY, self._delay * 2 or FIRST_DELAY)
        # Full jitter would ask a struggling server at once as often as not; half of it spreads clients as well.
        pause = after if after is not None else self._delay * random.uniform(0.5, 1.0)
        self.retry_at = time.monotonic() + max(0.0, pause)
        self.cursor.note(error)
        if self.cursor.state != state:
            report.warning("%s: %s: %s", self.name, state, self.cursor.last_error)
        self.cursor.state = state
        self._custody.save()

    def abandon(self, error: BaseException | str) -> None:
        """Leave the rest to a later `refunc sync`."""
        self.cursor.note(error)
        self.cursor.state = "quarantined"
        self.is_abandoned = True
        report.error("%s: left alone until `refunc sync`: %s", self.name, self.cursor.last_error)
        self._custody.save()

    def close(self) -> None:
        """Save the cursor and let another process go on."""
        if self._called and not self.is_abandoned and not self.cursor.ended:
            self.cursor.state = "stopped" if self.cursor.state == "ok" else self.cursor.state
        self._custody.save()
        self._custody.release()

    def save_if_due(self) -> None:
        """Save a cursor that has moved, at most every fiftieth of a second."""
        self._custody.save_if_due()

    # -- delivering --------------------------------------------------------------------------------------------------

    def wants(self) -> bool:
        """Whether there is something to call the backend for now."""
        if time.monotonic() < self.retry_at:
            self._step_aside()
            return False
        if self.is_abandoned or not self._is_ready():
            return False
        while not self._window.calls:
            self._window = self._feed.window(self.cursor)
            if not self._window.has_records:
                break
            if not self._window.calls:
                self._window_done()
        if self.revives and not self._window.calls:
            self._fill_letters()
        return bool(self._window.calls)

    def advance(self, backend: Backend) -> None:
        """Make the next call of the window and settle what came of it."""
        calls = self._window.calls
        if self._window.is_fresh:
            self._begin_window(backend)
            if not calls:
                return
        if not self._called:
            self._called = True
            report.debug("%s: delivering %s", self.name, self.folder.name)
        call = calls[0]
        try:
            if call.letter is not None:
                self._try_again(backend, call, call.letter)
                return
            backend.perform(call, self._feed.run(self.cursor))
        except BaseException as error:  # a plugin's code: it may also raise SystemExit
            self._settle(call, error)
            return
        calls.popleft()
        self._dead_in_row = 0
        self._succeeded(call)

    def _begin_window(self, backend: Backend) -> None:
        """Leave out what the plugin has no hook for; where nothing may be sent twice, save the cursor first."""
        window = self._window
        window.is_fresh = False
        for call in [call for call in window.calls if call.hook not in backend.names]:
            window.calls.remove(call)
            self._succeeded(call)
        window.is_whole = True
        if window.calls and backend.is_once:
            window.is_claimed = True
            self._move()
            self.cursor.ended |= window.calls[0].hook == "on_run_end"
            self._custody.save(sync=True)

    def _is_ready(self) -> bool:
        """Whether the run is there and this process is the one that delivers it."""
        if not self._custody.is_held:
            if not self._feed.is_made() or not self._custody.take():
                return False
            self._feed.go_on_at(self.cursor.positions)
        return True

    def _fill_letters(self) -> None:
        lines = self._letters.lines()
        self.cursor.dead = len(lines)  # somebody may have removed some
        self._window = Window(self._letters.untried(lines))
        self._window.is_fresh = False
        if not self._window.calls:
            self.revives = False
            self._custody.save()

    def _try_again(self, backend: Backend, call: Call, letter: bytes) -> None:
        if call.hook in backend.names:
            with self._letters.delivering(letter, is_once=backend.is_once):
                backend.perform(call, self._feed.run(self.cursor))
            self.cursor.dead = max(0, self.cursor.dead - 1)
        self._letters.tried.add(letter)
        self._window.calls.popleft()
        self._dead_in_row = 0
        self._settled()
        self._custody.save()

    def _settle(self, call: Call, error: BaseException) -> None:
        match error:
            case Pause() | Retry() | OSError():
                if call.hook == "on_run_end" and call.letter is None:  # it was not taken, so a claim to it is void
                    self.cursor.ended, self._window.is_claimed, self._window.is_fresh = False, False, True
                if isinstance(error, Pause):
                    self.fail(error, after=PAUSE, state="paused")
                else:
                    self.fail(error, after=getattr(error, "after", None))
            case Reject():
                self._split(call, error)
            case _:
                call.failures += 1
                self._window.is_whole = False
                if call.failures < TRIES:
                    self.fail(error, after=min(2.0, 0.05 * 2**call.failures))
                else:
                    report.error("%s: %s failed", self.name, call.hook, exc_info=error)
                    self._split(call, error)

    def _step_aside(self) -> None:
        """
        Until the next try, leave a run that has ended to whoever comes: to a `refunc sync` with better credentials.

        Not with a window of which something is settled, or that the cursor, moved first, has left behind already.
        """
        is_whole = self._window.is_whole and not self._window.is_claimed
        if is_whole and self._custody.is_held and self._custody.keeps and self._feed.is_at_rest:
            self._window.calls.clear()
            self._custody.release()

    def _split(self, call: Call, error: BaseException) -> None:
        calls = self._window.calls
        self._window.is_whole = False
        self.cursor.note(error)
        calls.popleft()
        if not call.is_single:
            calls.extendleft(reversed(call.halves()))
            return
        self._dead_in_row += not isinstance(error, Reject)
        if self._dead_in_row >= QUARANTINE:
            calls.appendleft(call)
            self.abandon(f"{QUARANTINE} records in a row failed; the last: {self.cursor.last_error}")
            return
        report.error("%s: %s was refused for good: %s", self.name, call.hook, self.cursor.last_error)
        if call.letter is not None:  # it stays where it is
            self._letters.tried.add(call.letter)
            self._settled()
            return
        self._window.refused.append((call, self.cursor.last_error))
        if self._window.is_claimed or call.hook in (
            "on_run_start",
            "on_run_end",
        ):  # the cursor does not come back to it
            self._bury()
        self._succeeded(call)

    def _bury(self) -> None:
        """Keep what no backend takes; with the window, for all of one that is left alone is delivered again."""
        refused, self._window.refused = self._window.refused, []
        self.cursor.dead += len(refused)
        for call, error in refused:
            try:
                self._letters.add(call, error)
            except OSError as problem:
                report.error("%s: the dead letter could not be written: %s", self.name, problem)

    def _settled(self) -> None:
        self.settled += 1
        self._window.is_whole = False
        self._delay = 0.0
        self.retry_at = 0.0
        if self.cursor.state != "ok":
            report.debug("%s: delivering again", self.name)
            self.cursor.state = "ok"

    def _succeeded(self, call: Call) -> None:
        self._settled()
        if call.hook == "on_run_start":
            self.cursor.started = True
        elif call.hook == "on_run_end":
            self.cursor.end = None
            self.cursor.delivered += 1
            self.cursor.ended = True  # last: others look at it for whether all is done
            self._custody.save()
            return
        if not self._window.calls:
            self._window_done()

    def _window_done(self) -> None:
        self.cursor.delivered += self._window.delivered
        self.cursor.dropped += self._window.dropped
        self._bury()
        self._move()
        self._custody.save_if_due()

    def _move(self) -> None:
        # Together: the end counts as waiting by its line as long as the positions stand before it.
        self.cursor.positions = self._feed.positions
        if self._window.end is not None:
            self.cursor.end = attrs.asdict(self._window.end)
        self._custody.move()
