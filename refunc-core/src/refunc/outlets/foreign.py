"""
Handlers and filters that are not refunc's: one that raises does not end the training or a thread of refunc's own.

The handlers after it still get the record, and the user is told once, by a handler that works.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from functools import partial
from itertools import islice
from types import TracebackType

#: Handlers and errors that are told apart; a script that generates classes must not fill memory.
_MOST_TOLD = 1_000

_told: set[tuple[object, ...]] = set()
#: Threads that are reporting right now: a handler that also raises for that line is not reported in turn.
_telling: set[int] = set()


def own_logger(name: str) -> logging.Logger:
    """Return the stdlib logger *name* for refunc's own lines; errors of its handlers never reach the caller."""
    logger = logging.getLogger(name)
    logger.handle = partial(handle, logger)  # type: ignore[method-assign]  # its class is shared with all others
    return logger


def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    """Call `logger.handle(record)` without raising an `Exception`."""
    try:
        type(logger).handle(logger, record)
    except Exception as error:  # from other libraries' code
        contain(logger, record, error)


def contain(logger: logging.Logger, record: logging.LogRecord, error: Exception) -> None:
    """
    Pass *record* to the handlers after the one that raised *error* in `logger.handle(record)`, and tell the user.

    They get the record as the logger's filters left it, as they would have. If a filter of the logger raised, no
    handler gets the record: the filter may be there to hold it back.
    """
    chain = list(_chain(logger))
    culprit, record = _culprit(error.__traceback__, chain, logger, record)
    rest = islice(chain, chain.index(culprit) + 1, None) if culprit is not None else iter(())
    for handler in rest:
        try:
            if record.levelno >= handler.level:
                handler.handle(record)
        except Exception as another:
            _stand_in(chain, handler, record)
            _tell(logger, handler, record, another)
    if culprit is not None:
        _stand_in(chain, culprit, record)
    _tell(logger, culprit, record, error)


def flush(handler: logging.Handler) -> bool:
    """Flush *handler*; return False instead of raising an `Exception`."""
    try:
        handler.flush()
    except Exception:  # its stream is closed, or its reader gone
        return False
    return True


def _chain(logger: logging.Logger) -> Iterator[logging.Handler]:
    """Yield the handlers that get a record of *logger*, in order."""
    above: logging.Logger | None = logger
    while above is not None:
        yield from tuple(above.handlers)
        above = above.parent if above.propagate else None


def _culprit(
    trace: TracebackType | None, chain: list[logging.Handler], logger: logging.Logger, record: logging.LogRecord
) -> tuple[logging.Handler | None, logging.LogRecord]:
    """
    Return the handler of *chain* that was running when the exception of *trace* came, None if it was a filter; and the
    record that the handlers of *logger* were given, which a filter may have substituted for *record*.
    """
    while trace is not None:
        names = trace.tb_frame.f_locals
        if names.get("self") is logger and isinstance(names.get("record"), logging.LogRecord):
            record = names["record"]  # in `handle` and `callHandlers`
        running = names.get("hdlr"), names.get("self")  # in `callHandlers`, in a method of the handler
        for handler in chain:
            if any(handler is one for one in running):
                return handler, record
        trace = trace.tb_next
    return None, record


def _stand_in(chain: list[logging.Handler], culprit: logging.Handler, record: logging.LogRecord) -> None:
    """Make handlers show *record* if they had left it to *culprit*."""
    for handler in chain:
        stand_in = getattr(handler, "stand_in_for", None)
        if stand_in is not None:
            stand_in(culprit, record)


def _tell(logger: logging.Logger, culprit: logging.Handler | None, record: logging.LogRecord, error: Exception) -> None:
    key = (type(culprit), culprit.name, type(error)) if culprit is not None else (logger.name, type(error))
    thread = threading.get_ident()
    # With `raiseExceptions`, users of stdlib logging switch its error messages off.
    if not logging.raiseExceptions or key in _told or len(_told) >= _MOST_TOLD or thread in _telling:
        return
    _told.add(key)
    _telling.add(thread)
    try:
        _report.warning(
            "%s raised %s at a line from %s, which it did not show. The program goes on; further errors of this kind "
            "are not reported. Raised in %s.",
            f"The handler {type(culprit).__name__}" if culprit is not None else f"A filter of {logger.name!r}",
            one_line(error),
            f"{record.filename}:{record.lineno}",
            place_of(error.__traceback__),
        )
    finally:
        _telling.discard(thread)


def one_line(error: Exception) -> str:
    """Return the class and the text of *error*, cut, on one line."""
    try:
        text = " ".join(str(error).split())[:200]
    except Exception:  # a user's __str__
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def place_of(trace: TracebackType | None) -> str:
    """Return the file and the line that raised."""
    place = "an unknown place"
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


_report = own_logger("refunc.logging")
