"""
Lines that Python shows by itself if there is no handler: a handler that shows nothing must not hide them.

Stdlib's `logging.lastResort` writes warnings to stderr as long as a line meets no handler. A handler that only puts
lines into the run, or that refuses a line, counts as a handler too, and these lines would not be shown at all.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator


def shows(handler: logging.Handler) -> bool:
    """Whether *handler* shows its lines to people, as far as is known."""
    return bool(getattr(handler, "refunc_shows", True))


def show_unseen(record: logging.LogRecord, besides: Container[object] = ()) -> None:
    """
    Show *record* as Python does without handlers, unless a handler that gets it shows lines and is not in
    *besides*.
    """
    last = logging.lastResort
    if last is None or record.levelno < last.level:
        return
    found = list(handlers_on_the_way(record.name))
    # Without any, Python has shown it.
    if found and not any(shows(handler) and handler not in besides for handler in found):
        last.handle(record)


def handlers_on_the_way(name: str) -> Iterator[logging.Handler]:
    """Yield the handlers that get a record of the logger *name*, in order."""
    logger = logging.root if name == logging.root.name else logging.Logger.manager.loggerDict.get(name)
    while isinstance(logger, logging.Logger):
        yield from logger.handlers[:]
        if not logger.propagate or logger.parent is None:
            return
        logger = logger.parent
