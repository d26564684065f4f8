"""
A file outlet whose records are also handed to a tap, each once: when its batch is encoded, or before that if the disk
refuses.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from functools import partial
from itertools import tee
from operator import is_
from typing import Any

from refunc.journal.encoded import MetricsRow
from refunc.journal.tap import Tap, number_of
from refunc.outlets.appender import FileOutlet
from refunc.outlets.bounded_queue import HIGH_WATER
from refunc.outlets.durability import Durability
from refunc.outlets.foreign import own_logger

own_log = own_logger("refunc.journal")


class TappedOutlet(FileOutlet):
    """The half of the journal writer that tracks the records of the tap; the other half numbers and encodes records."""

    #: The tap that gets the records too.
    tap: Tap | None = None

    def __init__(self, *, bound: int = HIGH_WATER, durability: Durability = "async") -> None:
        super().__init__(bound=bound, durability=durability)

    def _reset(self) -> None:
        super()._reset()
        # By identity, the records in the queue that the tap has already; the reference keeps an id from being reused.
        self._handed: dict[int, Any] = {}
        self._shed_items: deque[Any] = deque(maxlen=HIGH_WATER)  # dropped here, and not handed over yet

    def after_fork_in_child(self) -> None:
        """Start as a new writer, whose tap has no records yet."""
        super().after_fork_in_child()
        if self.tap is not None:
            self.tap.forget()

    def known_to_tap(self, items: Iterator[Any], kind: type) -> Iterator[Any]:
        """
        Yield *items* to be queued, and count those of this *kind* as known to the tap as they are yielded.

        All of it runs in C, as `write_all` requires: an item is known before any thread can see it in the queue.
        """
        given, typed, identified = tee(items, 3)
        known: tuple[dict[int, Any], ...] = ({}, self._handed)
        chosen = map(known.__getitem__, map(partial(is_, kind), map(type, typed)))
        return map(dict.setdefault, chosen, map(id, identified), given)

    def flush(self, *, sync: bool = False) -> bool:
        """Write everything that was appended before this call, and have the tap write it as well; see Outlet."""
        done = super().flush(sync=sync)
        if self.tap is not None:
            self.tap.flush()
        return done

    def drain(self, *, limit: int | None = None, force: bool = False) -> bool:
        """Empty the deque; if the disk refuses, hand its content to the tap. See Outlet."""
        done = super().drain(limit=limit, force=force)
        if self.tap is not None and ((not done and self.failing) or self._shed_items):
            self._hand_ahead(self.tap)
        return done

    def close(self) -> None:
        """Drain, fsync and close; the tap passes on the records that it holds back. See FileOutlet."""
        super().close()
        if self.tap is not None:
            self.tap.finish()
            self.tap.flush()

    def finish(self) -> None:
        """Have the tap pass on the records that it holds back."""
        if self.tap is not None:
            self.tap.finish()

    def _drop(self, item: Any) -> None:
        # No `super()`: while the disk is full, each call of the training gets here.
        self._has_dropped = True
        self._dropped.add()
        if self.tap is not None and not (self._handed and self._handed.pop(id(item), None)):
            self._shed_items.append(item)

    # -- within the turn --------------------------------------------------------------------------------------------

    def _row(self, item: Any, seq: int) -> Any:
        """Return the encoded form of a queued record, with the number *seq*."""
        raise TypeError(f"{type(self).__name__} does not say how its records are numbered.")

    def _hand_over(
        self, tap: Tap, batch: list[Any], rows: list[Any], alike: list[list[MetricsRow]], seq: int, upto: int
    ) -> None:
        """
        Hand the records of *batch* to the tap, except those that it has.

        Args:
            rows: The encoded batch without its metrics, which are in *alike*.
            seq: The number of the first record; *upto* is the one after the last.
        """
        if upto <= tap.told:  # the batch is encoded once more, for another file
            return
        try:
            if self._handed or seq < tap.told:
                told, handed = tap.told, self._handed
                known = {number for number, item in enumerate(batch, seq) if id(item) in handed}
                rows = [row for row in rows if told <= number_of(row) not in known]
                alike = [[row for row in group if row.seq >= told and id(row) not in handed] for group in alike]
            tap.take(rows, alike, partial(setattr, tap, "told", upto))
        except Exception:  # of the log files; a journal must not wait for them
            own_log.exception("%s: a batch of records did not reach its log files; please report this.", self)
            tap.told = upto
        if self._handed:
            for item in batch:
                self._handed.pop(id(item), None)

    def _hand_ahead(self, tap: Tap) -> None:
        """Hand records that the disk does not take to the tap, which may write elsewhere."""
        turn = self._turn
        if not turn.lock.locked():
            turn.take(partial(self._hand_ahead_alone, tap))

    def _hand_ahead_alone(self, tap: Tap) -> bool:
        try:
            self._hand_waiting(tap)
        except Exception:  # see `_hand_over`
            own_log.exception("%s: the records that wait did not reach its log files; please report this.", self)
            return False
        return True

    def _hand_waiting(self, tap: Tap) -> None:
        state = self._state
        if (state.batch or state.drops) and state.seq >= tap.told:  # taken, and there was no file to encode it for
            self._encode(state.batch or [], state.seq, state.drops)
            self._settle()
        fresh = [*self._not_handed_over(), *self._shed_items]
        if not fresh:
            return
        rows: list[Any] = []
        met: dict[type, list[MetricsRow]] = defaultdict(list)
        for number, item in enumerate(fresh):  # temporary numbers, in order; the journal gives its own
            row = self._row(item, number)
            if type(row) is MetricsRow:
                met[type(row.metrics)].append(row)
            else:
                rows.append(row)
        alike = [[row] for row in met.pop(dict, ())] + list(met.values())
        tap.take(rows, alike, partial(self._handed.update, {id(item): item for item in fresh}))
        for item in fresh:
            if self._shed_items and self._shed_items[0] is item:
                self._shed_items.popleft()
                self._handed.pop(id(item), None)

    def _not_handed_over(self) -> list[Any]:
        """Return the records in the queue that the tap does not have, oldest first."""
        if len(self._handed) == len(self.queue):
            return []
        return [item for item in self.queue.copy() if id(item) not in self._handed]
