"""Handlers that stand before other handlers: AsyncHandler and BufferedHandler, for any stdlib logger."""

from __future__ import annotations

import copy
import logging
import threading
from collections import deque
from collections.abc import Container, Iterable, Sequence

from refunc.journal import pump
from refunc.journal.outlet import Outlet
from refunc.logging.levels import level_number
from refunc.logging.report import report


class NoLock:
    """A lock that locks nothing, for handlers that only append to a deque: no fork and no signal meets it held."""

    def acquire(self) -> None:
        """Do nothing, at once."""

    def release(self) -> None:
        """Do nothing."""

    def __enter__(self) -> None:
        return

    def __exit__(self, *error: object) -> None:
        return


class _Wrapper(logging.Handler):
    """A handler before others: its target, or, without one, the handlers that the logger has when it is added."""

    def __init__(self, target: logging.Handler | Iterable[logging.Handler] | None, level: int | str) -> None:
        super().__init__(level_number(level))
        self.targets: Sequence[logging.Handler] = ()
        self._adopts = target is None
        if isinstance(target, logging.Handler):
            self.targets = (target,)
        elif target is not None:
            self.targets = tuple(target)

    def createLock(self) -> None:  # noqa: N802  # stdlib's name
        """Have no lock; see NoLock."""
        self.lock = NoLock()  # type: ignore[assignment]  # all that stdlib asks of it

    def adopt(self, handlers: Iterable[logging.Handler]) -> bool:
        """Take over *handlers*, unless this one was made with a target; True if it did."""
        if self._adopts:
            self.targets = tuple(handlers)
            self._adopts = False
            return True
        return False

    def replace_target(self, old: Container[logging.Handler], new: logging.Handler) -> bool:
        """Put *new* where a target is one of *old*, also behind a further wrapper; True if there was one."""
        if any(target in old for target in self.targets):
            self.targets = (*(target for target in self.targets if target not in old), new)
            return True
        return any(target.replace_target(old, new) for target in self.targets if isinstance(target, _Wrapper))

    def all_targets(self) -> Iterable[logging.Handler]:
        """Give the targets, and those of targets that are wrappers themselves."""
        for target in self.targets:
            yield target
            if isinstance(target, _Wrapper):
                yield from target.all_targets()

    def _pass_on(self, record: logging.LogRecord) -> None:
        for target in self.targets:
            if record.levelno >= target.level:
                target.handle(record)

    def _flush_targets(self) -> None:
        for target in self.targets:
            target.flush()


class AsyncHandler(_Wrapper):
    """
    Passes records to its target on the thread `refunc-handlers`, so that a slow target does not slow the caller.

    A full buffer makes the caller wait or pass on a record itself: nothing is dropped, unless a single record takes the
    target more than a second. ERROR and above are passed on before the call returns, with all before them; so is
    everything at `flush()` and `close()`. While the thread is busy with the target, such a call waits for a second at
    most. Exit waits for ten, or until Ctrl-C, and says how many records were left.
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
            flush_interval: Seconds that a record waits at most.
            target: What the records go to; without it, the handlers that the logger has (`logger.add_handler`).

        Raises:
            ValueError: A size or an interval that is not above 0.
        """
        super().__init__(target, level)
        check_positive("buffer_size", buffer_size, whole=True)
        check_positive("flush_interval", flush_interval)
        self._outlet = _HandlerOutlet(self, buffer_size, flush_interval)

    @property
    def dropped(self) -> int:
        """Records at which a target raised past `Handler.handleError`, and that came while it hung on a full buffer."""
        return self._outlet.dropped

    def emit(self, record: logging.LogRecord) -> None:
        """Queue *record*, its text merged first, because its arguments may change."""
        record = _merged(record)
        if record.levelno >= logging.ERROR:
            self._outlet.write(record)
        else:
            self._outlet.append(record)

    def flush(self) -> None:
        """Pass on everything that waits, in the calling thread."""
        self._outlet.flush()
        self._flush_targets()

    def close(self) -> None:
        """Pass on everything that waits, and leave the thread; where it is busy with the target, leave it the rest."""
        if self._outlet.flush():
            self._outlet.close()
        super().close()


class _HandlerOutlet(Outlet):
    """The queue of an AsyncHandler. One record is a batch: whoever waits sees that a slow target gets on."""

    served_by = pump.HANDLERS

    def __init__(self, handler: AsyncHandler, bound: int, interval: float) -> None:
        self._handler = handler
        self.interval = interval
        super().__init__(bound=bound)

    def __str__(self) -> str:
        return f"{self._handler!r}"

    def _step(self) -> int:
        try:
            record = self.queue.popleft()
        except IndexError:
            return 0
        try:
            self._handler._pass_on(record)
        except Exception:  # stdlib handlers contain their own errors; this one did not
            next(self._dropped)
            report.exception("AsyncHandler: a target raised.")
        return 1


class BufferedHandler(_Wrapper):
    """
    Holds records back and passes them on together, on the calling thread.

    With *auto_flush* that is when the buffer is full, at ERROR, at `flush()` and at `close()`. Without it, only the
    last two: the buffer then keeps the newest records, and counts the older ones in `dropped`.
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
        """
        super().__init__(target, level)
        check_positive("buffer_size", buffer_size, whole=True)
        self.buffer_size = buffer_size
        self.auto_flush = auto_flush
        self.dropped = 0
        self._held: deque[logging.LogRecord] = deque()
        self._passing = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Hold *record*, its text merged first, because its arguments may change."""
        self._held.append(_merged(record))
        if self.auto_flush:
            if len(self._held) >= self.buffer_size or record.levelno >= logging.ERROR:
                self.flush()
        elif len(self._held) > self.buffer_size:
            self._held.popleft()
            self.dropped += 1

    def flush(self) -> None:
        """Pass on everything that is held."""
        while self._held:
            try:
                record = self._held.popleft()
            except IndexError:  # another thread flushes as well
                break
            self._pass_on(record)
        self._flush_targets()

    def close(self) -> None:
        """Pass on everything that is held."""
        self.flush()
        super().close()


def _merged(record: logging.LogRecord) -> logging.LogRecord:
    """Return *record* with its arguments merged into its text, as a copy where that changes it."""
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
