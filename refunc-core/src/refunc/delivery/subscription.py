"""
One run for one integration: windows from the journal, hooks called, the cursor moved.

Everything here runs on the integration's courier thread, but `report_stuck`.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec

from refunc.delivery.cursor import Cursor, DeliveryLock
from refunc.delivery.dead_letters import DeadLetters
from refunc.delivery.window import TRIES, Call, calls_of
from refunc.journal.file import is_locked
from refunc.journal.folder import RUN_JSON
from refunc.journal.kinds import CRASHED
from refunc.journal.record import Gap, Metrics, Params, Record, RunEnd, Tags
from refunc.journal.tail import Tail
from refunc.plugins.errors import Pause, Reject, Retry
from refunc.plugins.run import RunInfo

WINDOW_RECORDS = 1_000
#: Seconds before the first repetition of a call, and at most; between them it doubles, with jitter.
FIRST_DELAY, LAST_DELAY = 0.5, 30.0
#: Seconds between two calls to a backend that refuses the credentials.
PAUSE = 60.0
#: Seconds between two saves of a cursor at least, while windows follow each other.
SAVE_INTERVAL = 0.02
#: Dead letters in a row, for unknown errors, after which an integration is left alone.
QUARANTINE = 10

report = logging.getLogger("refunc.delivery")


class Backend:
    """What a subscription calls: an integration that is open, as its hooks."""

    def __init__(self, hooks: Any, names: tuple[str, ...], delivery: str) -> None:
        self.hooks = hooks
        self.names = names
        self.delivery = delivery


class Subscription:
    """Delivers one run. `advance` does one small thing at a time and never raises."""

    def __init__(self, folder: Path, key: str, name: str, *, keeps: bool = True, revives: bool = False) -> None:
        """
        Args:
            keeps: Whether delivery goes on where an earlier one stopped; a `live` integration begins anew.
            revives: Try dead letters again, each once, when all else is delivered.
        """
        self.cursor = Cursor.load(folder, key, name) if keeps else Cursor(folder, key, name)
        #: How many calls were settled; from any thread, to see whether there is progress.
        self.settled = 0
        self.folder = folder
        self.key, self.name = key, name
        self.retry_at = 0.0
        self.is_abandoned = False
        self._birth: dict[str, Any] | None = None
        self._lock = DeliveryLock(folder, key)
        self._letters = DeadLetters(folder, key)
        self._revives = revives
        #: What was refused for good of the window.
        self._dead: list[tuple[Call, str | None]] = []
        #: The dead letters that were tried again.
        self._tried: set[bytes] = set()
        self._keeps = keeps
        self._tail = Tail(folder, self.cursor.positions)
        self._calls: deque[Call] = deque()
        self._records: list[Record] = []
        #: The fields of an end record that stands in the window.
        self._end_ahead: dict[str, Any] | None = None
        self._delay = 0.0
        self._dead_in_row = 0
        self._saved_at = 0.0
        self._is_dirty = False
        self._saving = threading.Lock()
        self._called = False
        #: Of the window: nothing of it was called yet; nothing of it is settled; the cursor was moved before it.
        self._is_fresh = self._is_whole = self._is_claimed = False

    # -- what others ask ---------------------------------------------------------------------------------------------

    @property
    def is_done(self) -> bool:
        """Whether the run has ended and all of it is delivered, or it is gone, or was given up."""
        if self.is_abandoned or self._is_gone():
            return True
        return not self._calls and not self._revives and self.cursor.is_done

    @property
    def revives(self) -> bool:
        """Whether there are dead letters to be tried again, as far as is known."""
        return self._revives

    @property
    def is_ours(self) -> bool:
        """Whether this process is the one that delivers, so that `cursor` is true and the saved one may lag behind."""
        return self._lock.is_held

    def _is_gone(self) -> bool:
        return self._birth is not None and not (self.folder / RUN_JSON).exists()

    def report_stuck(self, seconds: float) -> None:
        """Say that a hook has not come back for *seconds*; called by another thread."""
        self.cursor.state = "stuck"
        self.cursor.note(f"a hook has not returned for {seconds:.0f} s")
        self._save(force=True)

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
        self._save(force=True)

    def abandon(self, error: BaseException | str) -> None:
        """Leave the rest to a later `refunc sync`."""
        self.cursor.note(error)
        self.cursor.state = "quarantined"
        self.is_abandoned = True
        report.error("%s: left alone until `refunc sync`: %s", self.name, self.cursor.last_error)
        self._save(force=True)

    def close(self) -> None:
        """Save the cursor and let another process go on."""
        if self._called and not self.is_abandoned and not self.cursor.ended:
            self.cursor.state = "stopped" if self.cursor.state == "ok" else self.cursor.state
        self._save(force=True)
        self._lock.release()

    # -- delivering --------------------------------------------------------------------------------------------------

    def wants(self) -> bool:
        """Whether there is something to call the backend for now."""
        if time.monotonic() < self.retry_at:
            self._step_aside()
            return False
        if self.is_abandoned or not self._is_ready():
            return False
        while not self._calls and self._fill():
            continue
        if self._revives and not self._calls:
            self._fill_letters()
        return bool(self._calls)

    def advance(self, backend: Backend) -> None:
        """Make the next call of the window and settle what came of it."""
        if self._is_fresh:
            self._begin_window(backend)
            if not self._calls:
                return
        if not self._called:
            self._called = True
            report.debug("%s: delivering %s", self.name, self.folder.name)
        call = self._calls[0]
        try:
            if call.letter is not None:
                self._try_again(backend, call, call.letter)
                return
            self._perform(backend, call)
        except BaseException as error:  # a plugin's code: it may also raise SystemExit
            self._settle(call, error)
            return
        self._calls.popleft()
        self._dead_in_row = 0
        self._succeeded(call)

    def _begin_window(self, backend: Backend) -> None:
        """Leave out what the plugin has no hook for; where nothing may be sent twice, save the cursor first."""
        self._is_fresh = False
        for call in [call for call in self._calls if call.hook not in backend.names]:
            self._calls.remove(call)
            self._succeeded(call)
        self._is_whole = True
        if self._calls and backend.delivery == "at-most-once":
            self._is_claimed = True
            self._move()
            self.cursor.ended |= self._calls[0].hook == "on_run_end"
            self._save(force=True, sync=True)

    def _is_ready(self) -> bool:
        """Whether the run is there and this process is the one that delivers it."""
        try:
            if self._birth is None:
                with open(self.folder / RUN_JSON, "rb") as file:
                    birth = json.loads(file.read(1 << 20))
                self._birth = birth if isinstance(birth, dict) else {}
            if not self._lock.is_held:
                if not self._lock.take():
                    return False
                if self._keeps:  # whoever had the lock may have delivered since this one was made
                    self.cursor = Cursor.load(self.folder, self.key, self.name)
                    self._tail = Tail(self.folder, self.cursor.positions)
        except (OSError, ValueError, RecursionError):  # not made yet, or no record of a birth
            return False
        return True

    def _fill(self) -> bool:
        """Take the next window, or the run's end when there is no other record left; whether it read any record."""
        self._records = self._tail.read(WINDOW_RECORDS)
        for record in self._besides_metrics():
            match record:
                case Params():
                    self.cursor.params.update(record.params)
                case Tags():
                    self.cursor.tags.update(record.tags)
                case RunEnd():
                    self._end_ahead = attrs.asdict(record)
                case _:
                    pass
        self._is_fresh = self._is_whole = True
        self._is_claimed = False
        self._dead = []
        has_read = bool(self._records)
        if has_read:
            self._calls = calls_of(self._records, _ALL)
            if not self.cursor.started:
                self._calls.appendleft(Call("on_run_start", []))
            if not self._calls:
                self._window_done()
        elif not self.cursor.ended:
            self._fill_end()
        return has_read

    def _besides_metrics(self) -> list[Record]:
        """Return the few records of the window that mean something to the cursor, or may."""
        return [record for record in self._records if type(record) is not Metrics]

    def _fill_end(self) -> None:
        end = self.cursor.end
        if end is None and is_locked(self.folder / RUN_JSON) is False and not self._tail.waiting():
            birth = self._birth or {}
            started = float(birth.get("start_time", 0.0))
            died = max((path.stat().st_mtime for path in (self.folder / "journal").glob("*.jsonl")), default=started)
            end = {"status": CRASHED, "duration": max(0.0, died - started), "time": died}
        if end is not None:
            end = {**end, "dropped": max(end.get("dropped", 0), self.cursor.dropped)}
            self._calls = deque([Call("on_run_end", [msgspec.convert(end, RunEnd)])])

    def _fill_letters(self) -> None:
        lines = self._letters.lines()
        self.cursor.dead = len(lines)  # somebody may have removed some
        self._calls = deque(self._letters.calls(line for line in lines if line not in self._tried))
        self._is_whole, self._is_fresh, self._is_claimed = True, False, False
        if not self._calls:
            self._revives = False
            self._save(force=True)

    def _try_again(self, backend: Backend, call: Call, letter: bytes) -> None:
        """Deliver a dead letter. It leaves its file afterwards; before, where nothing may be sent twice."""
        is_once = backend.delivery == "at-most-once"
        if call.hook in backend.names:
            try:
                if is_once:
                    self._letters.remove(letter)
                self._perform(backend, call)
            except BaseException:
                if is_once:
                    self._letters.put_back(letter)
                raise
            if not is_once:
                self._letters.remove(letter)
            self.cursor.dead = max(0, self.cursor.dead - 1)
        self._tried.add(letter)
        self._calls.popleft()
        self._dead_in_row = 0
        self._settled()
        self._save(force=True)

    def _perform(self, backend: Backend, call: Call) -> None:
        hook: Callable[..., Any] = getattr(backend.hooks, call.hook)
        run = self.run
        if call.hook in ("on_metrics", "on_log"):
            hook(run=run, records=tuple(call.records))
        elif call.hook == "on_run_start":
            hook(run=run)
        else:
            hook(run=run, record=call.records[0])

    @property
    def run(self) -> RunInfo:
        """The run as hooks see it now."""
        birth = self._birth or {}
        known = {name: birth[name] for name in _RUN_FIELDS if birth.get(name) is not None}
        return RunInfo(**known, params=dict(self.cursor.params), tags=dict(self.cursor.tags), folder=self.folder)

    def _settle(self, call: Call, error: BaseException) -> None:
        match error:
            case Pause() | Retry() | OSError():
                if call.hook == "on_run_end":  # it was not taken, so a claim to it is void
                    self.cursor.ended, self._is_claimed, self._is_fresh = False, False, True
                if isinstance(error, Pause):
                    self.fail(error, after=PAUSE, state="paused")
                else:
                    self.fail(error, after=getattr(error, "after", None))
            case Reject():
                self._split(call, error)
            case _:
                call.failures += 1
                self._is_whole = False
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
        is_whole = self._lock.is_held and self._keeps and self._is_whole and not self._is_claimed
        if is_whole and is_locked(self.folder / RUN_JSON) is False:
            self._calls.clear()
            self._lock.release()

    def _split(self, call: Call, error: BaseException) -> None:
        self._is_whole = False
        self.cursor.note(error)
        self._calls.popleft()
        if not call.is_single:
            self._calls.extendleft(reversed(call.halves()))
            return
        self._dead_in_row += not isinstance(error, Reject)
        if self._dead_in_row >= QUARANTINE:
            self._calls.appendleft(call)
            self.abandon(f"{QUARANTINE} records in a row failed; the last: {self.cursor.last_error}")
            return
        report.error("%s: %s was refused for good: %s", self.name, call.hook, self.cursor.last_error)
        if call.letter is not None:  # it stays where it is
            self._tried.add(call.letter)
            self._settled()
            return
        self._dead.append((call, self.cursor.last_error))
        if self._is_claimed or call.hook in ("on_run_start", "on_run_end"):  # the cursor does not come back to it
            self._bury()
        self._succeeded(call)

    def _bury(self) -> None:
        """Keep what no backend takes; with the window, for all of one that is left alone is delivered again."""
        dead, self._dead = self._dead, []
        self.cursor.dead += len(dead)
        for call, error in dead:
            try:
                self._letters.add(call, error)
            except OSError as problem:
                report.error("%s: the dead letter could not be written: %s", self.name, problem)

    def _settled(self) -> None:
        self.settled += 1
        self._is_whole = False
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
            self._save(force=True)
            return
        if not self._calls:
            self._window_done()

    def _window_done(self) -> None:
        others = self._besides_metrics()
        # Not the end: its turn comes.
        self.cursor.delivered += len(self._records) - sum(isinstance(record, RunEnd) for record in others)
        self.cursor.dropped += sum(record.dropped for record in others if isinstance(record, Gap))
        self._records = []
        self._bury()
        self._move()
        self._save(force=False)

    def _move(self) -> None:
        # Together: the end counts as waiting by its line as long as the positions stand before it.
        self.cursor.positions = dict(self._tail.positions)
        self.cursor.end = self._end_ahead or self.cursor.end
        self._end_ahead = None
        self._is_dirty = True

    def save_if_due(self) -> None:
        """Save a cursor that has moved, at most every fifth of a second."""
        if self._is_dirty:
            self._save(force=False)

    def _save(self, *, force: bool, sync: bool = False) -> None:
        now = time.monotonic()
        if (not force and now - self._saved_at < SAVE_INTERVAL) or not self.folder.is_dir():
            return
        if not self.is_ours:  # another process delivers, and its cursor is the one that is true
            return
        with self._saving:
            try:
                self.cursor.save(sync=sync)
            except OSError as error:
                report.warning("%s: its cursor cannot be saved: %s", self.name, error)
            self._saved_at = now
            self._is_dirty = False


_ALL = ("on_hyperparams", "on_tags", "on_metrics", "on_log", "on_artifact")
_RUN_FIELDS = ("run_id", "run_name", "experiment_id", "experiment_name", "parent_id", "attempt", "start_time")
