"""
The outcome of each call of a window: accepted, repeated, refused for good, or set aside.

No record blocks the others. One that is refused for good becomes a dead letter. One that fails as in an outage is told
apart from a real outage by the others: if they succeed, it is set aside within a bounded time, and tried again when
nothing else is left. If nothing succeeds, all wait in their order.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from refunc.delivery.backend import Backend
from refunc.delivery.custody import Custody
from refunc.delivery.dead_letters import DeadLetters
from refunc.delivery.feed import Feed
from refunc.delivery.standing import LAST_DELAY, Standing
from refunc.delivery.window import TRIES, Call, Window
from refunc.outlets.backoff import delay_after
from refunc.outlets.foreign import own_logger
from refunc.plugins.errors import HookError
from refunc.plugins.hooks import RUN_END, RUN_START
from refunc.plugins.judgement import Judgement, judge

#: Seconds before the first repetition of a call that failed for an unknown reason; it doubles.
UNKNOWN_DELAY = 0.1
#: Seconds between two calls to a backend that refuses the credentials.
PAUSE = 30.0
#: The most tries of a record that fails as in an outage while others succeed, and the seconds between them.
DOUBTFUL_TRIES, DOUBTFUL_DELAY = 3, 0.2
#: Calls that are tried in a row in a lasting outage, to see whether one succeeds: as many as it takes to halve a window
#: until its first record is single, and two.
MOST_TRIED = 13
#: Seconds between two tries of a suspect while others succeed.
SUSPECT_DELAY = 5.0
#: The most records that are set aside to try others, without a sign that those succeed.
MOST_GUESSES = 3
#: Dead letters in a row, for unknown errors, after which others are tried first, and then the integration is stopped.
QUARANTINE = 10

own_log = own_logger("refunc.delivery")


class Settlement(Standing):
    """One run's calls for one integration. Runs on the integration's courier thread, except `say_stuck`."""

    def __init__(self, folder: Path, name: str, custody: Custody, feed: Feed, letters: DeadLetters) -> None:
        super().__init__(name, custody)
        #: How many calls were settled; read by any thread to measure progress.
        self.settled = 0
        self.window = Window()
        self._folder = folder
        self._feed = feed
        self._letters = letters
        self._dead_in_row = 0
        #: Calls that failed as in an outage since one succeeded, or since the last wait.
        self._tried = 0
        #: Records that were set aside without a success since.
        self._guesses = 0

    # -- windows -----------------------------------------------------------------------------------------------------

    def begin(self, backend: Backend) -> None:
        """Skip calls for which the plugin has no hook; if nothing may be sent twice, save the cursor first."""
        window = self.window
        for call in [call for call in window.calls if call.hook not in backend.names]:
            window.leave_out(call)
            self._done_with(call)
        window.begin()
        if window.calls and backend.is_once:
            window.claim()
            self._move()
            self.cursor.ended |= window.calls[0].hook == RUN_END
            self.cursor.said = window.calls[0].said or self.cursor.said
            self._custody.save(sync=True)

    def finish_window(self) -> None:
        """Move the cursor past the window, all of which is settled."""
        window = self.window
        self.cursor.delivered += window.delivered
        self.cursor.dropped += window.dropped
        self._bury()
        self._move()
        self._custody.save_if_due()

    def _move(self) -> None:
        # Together: the end's line counts as waiting as long as the positions are before it.
        self.cursor.positions = self._feed.positions
        if self.window.end is not None:
            self.cursor.end = attrs.asdict(self.window.end)
        self._custody.move()

    # -- calls -------------------------------------------------------------------------------------------------------

    def taken(self, call: Call) -> None:
        """Note that the backend has accepted *call*."""
        self.window.settled(call)
        self._dead_in_row = self._tried = self._guesses = 0
        self.window.hurry_suspects(seconds=DOUBTFUL_DELAY)  # it may have recovered
        if call.letter is None:
            self._done_with(call)
            return
        self.cursor.delivered += self._letters.has_last_of(call)
        self._letters.tried.add(call.letter)
        self._settled()
        self._custody.save()

    def failed(self, call: Call, error: BaseException, backend: Backend) -> None:
        """Decide about *call*, which raised *error*."""
        if isinstance(error, HookError):  # the plugin has to be fixed; until then each call would be lost
            self.abandon(error)
            return
        judgement = judge(error, call.hook)
        match judgement.kind:
            case "denied" | "away":
                if call.hook == RUN_END and call.letter is None:
                    self.cursor.ended = False
                    self.window.unclaim()
                self._doubt(call, error, judgement, backend)
            case "refused":
                self._split(call, error, is_known=True)
            case _:
                failures = self.window.failed(call)
                if failures < TRIES:
                    self.fail(error, after=delay_after(failures, UNKNOWN_DELAY, 2.0))
                else:
                    own_log.error("%s: %s failed", self._name, call.hook, exc_info=error)
                    self._split(call, error, is_known=False)

    def _doubt(self, call: Call, error: BaseException, judgement: Judgement, backend: Backend) -> None:
        """Find out whether there is an outage, or whether only *call* fails."""
        call.failed_as_in_an_outage()
        window = self.window
        if backend.takes_others(call):
            self._blame(call, error, backend)
            return
        if call.letter is not None and call.absences >= DOUBTFUL_TRIES:  # a letter delays no other call
            self._set_aside(call, error)
            return
        # No other call may come before the run's start, unless the start is known to be the cause.
        if not backend.is_doubtful(call) or call.hook == RUN_START:
            window.clear_suspects()
            self._wait(error, judgement)
            return
        self._tried += 1
        self.cursor.note(error)
        if self._tried >= MOST_TRIED:
            self._wait_out(call, error, judgement, backend)
        elif not call.is_single:
            # The first record has to be single before it is passed over, so that the others keep their order.
            window.halve(call)
        elif any(each is call for each in window.suspects):
            window.suspect(call, seconds=SUSPECT_DELAY)
        elif len(window.calls) > 1:
            window.suspect(call, seconds=LAST_DELAY)  # or as soon as another call succeeds
        else:
            self._wait_out(call, error, judgement, backend)

    def _wait_out(self, call: Call, error: BaseException, judgement: Judgement, backend: Backend) -> None:
        """Wait, because no call succeeded; next time other hooks come first."""
        window = self.window
        window.clear_suspects()
        self._tried = 0
        if self._is_in_the_way(backend):
            self._guesses += 1
            self._set_aside(window.calls[0], error)
            return
        window.postpone_hook(call.hook)
        self._wait(error, judgement, at_most=SUSPECT_DELAY if backend.has_taken_any_since(call) else None)

    def _wait(self, error: BaseException, judgement: Judgement, *, at_most: float | None = None) -> None:
        if judgement.kind == "denied":
            self.fail(error, after=PAUSE, state="paused")
        else:
            self.fail(error, after=judgement.after, at_most=at_most)

    def _is_in_the_way(self, backend: Backend) -> bool:
        """Whether the window's few records have failed for long, without a known reason, and block the others."""
        calls = self.window.calls
        is_long = all(each.is_single and each.letter is None and backend.is_doubtful(each) for each in calls)
        if not is_long or len(calls) > MOST_GUESSES or self._guesses >= MOST_GUESSES or backend.ping is not None:
            return False
        return calls[0].hook != RUN_END and (self.window.end is not None or self._feed.has_more)

    def _blame(self, call: Call, error: BaseException, backend: Backend) -> None:
        """Handle a *call* that fails as in an outage although there is none."""
        backend.blame(call)
        self.window.blame(call)
        if not call.is_single:
            return
        if call.absences < DOUBTFUL_TRIES:
            self.window.suspect(call, seconds=DOUBTFUL_DELAY * call.absences)
        else:
            self._set_aside(call, error)

    def _set_aside(self, call: Call, error: BaseException) -> None:
        """Set *call* aside, to be tried again when nothing else is left, and continue."""
        self.cursor.note(error)
        own_log.warning("%s: %s is set aside: %s", self._name, call.hook, self.cursor.last_error)
        self._give_up(call, is_aside=True)

    def _split(self, call: Call, error: BaseException, *, is_known: bool) -> None:
        """Halve *call*, or keep its one record as a dead letter."""
        self.window.blame(call)
        self.cursor.note(error)
        if not call.is_single:
            return
        if not is_known and self._dead_in_row + 1 >= QUARANTINE:
            if not self.window.postpone(call):
                self.abandon(f"{QUARANTINE} records in a row failed; the last: {self.cursor.last_error}")
            return
        self._dead_in_row += not is_known
        own_log.error("%s: %s was refused for good: %s", self._name, call.hook, self.cursor.last_error)
        self._give_up(call)

    def _give_up(self, call: Call, *, is_aside: bool = False) -> None:
        if call.letter is not None:  # the letter stays in its file
            self.window.settled(call)
            self._letters.tried.add(call.letter)
            self._settled()
            return
        self.window.refused(call, self.cursor.last_error, is_aside=is_aside)
        if self.window.is_claimed or call.hook in (RUN_START, RUN_END):  # the cursor does not return to it
            self._bury()
        self._done_with(call, is_taken=False)

    def _bury(self) -> None:
        """Write dead letters when the window is settled, because an abandoned window is delivered again completely."""
        given_up = self.window.take_given_up()
        aside = sum(each.is_aside for each in given_up)
        self.cursor.dead += len(given_up) - aside
        self.cursor.aside += aside
        for call, error, is_aside in given_up:
            try:
                self._letters.add(call, error, is_aside=is_aside)
            except OSError as problem:
                own_log.error("%s: the dead letter could not be written: %s", self._name, problem)

    def _settled(self) -> None:
        self.settled += 1
        self.recover()

    def _done_with(self, call: Call, *, is_taken: bool = True) -> None:
        self._settled()
        if call.hook == RUN_START:
            self.cursor.started = True
        elif call.said is not None:
            self.cursor.said = call.said
            self._custody.save()
        elif call.hook == RUN_END:
            self.cursor.end = None
            self.cursor.delivered += is_taken
            self.cursor.ended = True  # last: other threads read it as the sign that all is done
            self._custody.save()
            return
        if self.window.is_settled:
            self.finish_window()
