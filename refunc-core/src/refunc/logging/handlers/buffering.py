"""Handlers that wrap other handlers: AsyncHandler and BufferedHandler, for any stdlib logger."""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Iterable
from itertools import count

from refunc.logging.handlers.ends import forget_in_children
from refunc.logging.handlers.origin import Origin, is_in_target, origin, postpone
from refunc.logging.handlers.passing import HandlerQueue
from refunc.logging.handlers.wrapper import Wrapper


class AsyncHandler(Wrapper):
    """
    Passes records to its target on a thread of its own, `refunc-handlers`, so that a slow target slows no caller.

    A full buffer makes the caller wait: nothing is dropped, unless a single record takes the target more than a second.
    ERROR and above are passed on before the call returns, with all before them; so is everything at `flush()` and
    `close()`. Such a call waits as long as the target takes records, but no longer than a second for a single one. Exit
    waits for ten seconds, or until Ctrl-C, and warns how many records were left.

    A target may log, also to the logger that it serves: it does not get its own lines back.
    """

    def __init__(
        self,
        buffer_size: int = 1000,
        flush_interval: float = 5.0,
        target: logging.Handler | Iterable[logging.Handler] | None = None,
        *,
        level: int | str = logging.NOTSET,
    ) -> None:
        """
        Args:
            buffer_size: Records that may wait.
            flush_interval: The longest time in seconds before the thread passes a record on, with those before it.
            target: The handlers that get the records; by default those of the logger (`logger.add_handler`).

        Raises:
            ValueError: A size or an interval that is not above 0.
            TypeError: A target that is not a handler.
        """
        check_positive("buffer_size", buffer_size, whole=True)
        check_positive("flush_interval", flush_interval)
        super().__init__(target, level)
        self._queue = HandlerQueue(self, buffer_size, flush_interval)

    @property
    def dropped(self) -> int:
        """
        The number of records for which a target raised past `Handler.handleError`, that it logged itself, or that came
        while it hung with the buffer full.
        """
        return self._dropped.value + self._queue.dropped.value

    def emit(self, record: logging.LogRecord) -> None:
        """Queue *record*, its text merged first, because its arguments may change."""
        if not self._is_repeated(record):
            self._queue.put(self, _merged(record))

    def flush(self) -> None:
        """Pass on everything that waits, and flush the target; within a call of a target, do not wait."""
        if self not in origin().wrappers:
            self._queue.flush(self, flush_targets=True)

    def close(self) -> None:
        """Flush, and end the thread; if it is busy with the target, leave it the rest."""
        self.flush()
        self._queue.close()
        super().close()


#: A record's number, and the wrappers that it passed through.
_Held = tuple[int, logging.LogRecord, Origin]


class BufferedHandler(Wrapper):
    """
    Holds records back and passes them on together, on the calling thread.

    With *auto_flush* that is when the buffer is full, at ERROR, at `flush()` and at `close()`. Without it, only the
    last two: the buffer then keeps the newest records, ERROR and above longest. `dropped` counts the others, and the
    first one gives a warning.

    A target may log, also to the logger that it serves: it does not get its own lines back.
    """

    def __init__(
        self,
        buffer_size: int = 100,
        auto_flush: bool = True,
        target: logging.Handler | Iterable[logging.Handler] | None = None,
        *,
        level: int | str = logging.NOTSET,
    ) -> None:
        """
        Args:
            buffer_size: Records that are held back.
            target: See AsyncHandler.

        Raises:
            ValueError: A size that is not above 0.
            TypeError: A target that is not a handler.
        """
        check_positive("buffer_size", buffer_size, whole=True)
        super().__init__(target, level)
        self.buffer_size = buffer_size
        self.auto_flush = auto_flush
        self._numbers = count()
        self.after_fork_in_child()
        forget_in_children(self)

    def after_fork_in_child(self) -> None:
        """Forget the records that are held: the parent passes them on."""
        self._held: deque[_Held] = deque()
        self._errors: deque[_Held] = deque()

    @property
    def dropped(self) -> int:
        """
        The number of records that were not kept, for which a target raised past `Handler.handleError`, or that it
        logged.
        """
        return self._dropped.value

    def emit(self, record: logging.LogRecord) -> None:
        """Hold *record*, its text merged first, because its arguments may change."""
        if self._is_repeated(record):
            return
        is_error = record.levelno >= logging.ERROR
        (self._errors if is_error else self._held).append((next(self._numbers), _merged(record), origin()))
        is_over = len(self._held) + len(self._errors) - self.buffer_size
        if self.auto_flush:
            if is_over >= 0 or is_error:
                self.flush()
        elif is_over > 0:
            self._drop_one()

    def _drop_one(self) -> None:
        try:
            (self._held or self._errors).popleft()
        except IndexError:  # another thread passes all on
            return
        self._dropped.add()
        self.say("%s: holds %d records; older ones are dropped, and counted in `dropped`.", self, self.buffer_size)

    def _pass_on_all(self) -> None:
        for _ in range(len(self._held) + len(self._errors)):
            try:
                errors_first = self._errors and (not self._held or self._errors[0][0] < self._held[0][0])
                _, record, before = (self._errors if errors_first else self._held).popleft()
            except IndexError:  # another thread passes on as well
                break
            self.pass_on(record, before)
        self.flush_targets()

    def flush(self) -> None:
        """Pass on everything that is held; within a call of a target, after that call."""
        if is_in_target():
            postpone(self.flush)
        elif self not in origin().wrappers:
            self._pass_on_all()

    def close(self) -> None:
        """Pass on everything that is held."""
        self.flush()
        super().close()


def _merged(record: logging.LogRecord) -> logging.LogRecord:
    """Return *record* with its arguments merged into its text, as a copy if that changes it."""
    if not record.args:
        return record
    merged = copy.copy(record)
    try:
        merged.msg = record.getMessage()
        merged.args = None
    except Exception:  # the target's handleError will say so, as it would have without this handler
        return record
    return merged


def check_positive(option: str, value: float, *, whole: bool = False) -> None:
    """Raise the ValueError that names *option* unless *value* is a number above 0."""
    kinds_allowed = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds_allowed) or not value > 0:
        raise ValueError(f"{option}: {value!r} is not allowed. Allowed: a {'whole ' * whole}number above 0.")
