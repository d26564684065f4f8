"""
Loggers that do not propagate, such as those of many large libraries: a RunHandler gets their lines by adding itself to
them.

Python has no event for a new logger, or for one that stops propagating. But each record is made by the factory that
`logging.setLogRecordFactory` set, before any handler is called: the factory sees that a line would not reach the
handler, and its logger gets a `Captured`, in time for that line. Nothing is added before a library logs, so a library
that checks whether its logger already has handlers finds none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from refunc.logging.handlers.unseen import handlers_on_the_way


class Captured(logging.Handler):
    """A handler on a logger whose lines would not reach *handler*, and that passes them on to it."""

    refunc_shows = False

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self.handler = handler

    def emit(self, record: logging.LogRecord) -> None:
        """Pass *record* to the handler, unless it gets it some other way: a logger may propagate again."""
        if record.levelno < self.handler.level:
            return
        ways = [other for other in handlers_on_the_way(record.name) if leads_to(other, self.handler)]
        if ways and ways[0] is self and all(isinstance(other, Captured) for other in ways):
            self.handler.handle(record)


def leads_to(other: logging.Handler, handler: logging.Handler) -> bool:
    """Whether *handler* gets the records that *other* gets."""
    targets = getattr(other, "all_targets", None)
    return (
        other is handler or getattr(other, "handler", None) is handler or (targets is not None and handler in targets())
    )


class Capture:
    """The loggers that one handler captures."""

    def __init__(self, handler: logging.Handler, wanted: bool | str | Iterable[str]) -> None:
        """
        Begin.

        Args:
            wanted: Names of loggers, which include those below them, and all below "root"; True means every logger that
                does not propagate.

        Raises:
            ValueError: Neither of these.
        """
        self._handler = handler
        self._names = None if wanted is True else _names(wanted)
        self._stands_on: list[tuple[logging.Logger, Captured]] = []
        self._former = logging.getLogRecordFactory()
        self._factory = self._make
        logging.setLogRecordFactory(self._factory)

    def close(self) -> None:
        """Remove the handlers that were added to loggers, and the factory, unless another factory has wrapped it."""
        if logging.getLogRecordFactory() is self._factory:
            logging.setLogRecordFactory(self._former)
        self._names = ()
        while self._stands_on:
            logger, captured = self._stands_on.pop()
            logger.removeHandler(captured)

    def _make(self, name: Any, *args: Any, **options: Any) -> logging.LogRecord:
        try:
            self._reach(name)
        except Exception:  # not a valid name, or a logger of another kind: the line is made all the same
            pass
        return self._former(name, *args, **options)

    def _reach(self, name: str) -> None:
        start = self._name_above(name)
        if start is None or any(leads_to(other, self._handler) for other in handlers_on_the_way(name)):
            return
        logger = logging.root if name == logging.root.name else logging.Logger.manager.loggerDict.get(name)
        while isinstance(logger, logging.Logger) and logger.propagate and logger.parent is not None:
            logger = logger.parent
        if logger is logging.root:
            logger = logging.getLogger(start) if self._names is not None else None
        if isinstance(logger, logging.Logger):
            captured = Captured(self._handler)
            self._stands_on.append((logger, captured))
            logger.addHandler(captured)

    def _name_above(self, name: str) -> str | None:
        """Return the wanted name that includes the logger *name*; None if there is none."""
        first = name.partition(".")[0]
        if self._names is None:
            return None if first in ("refunc", "root") else name
        if logging.root.name in self._names:
            return first if first != "refunc" else None
        return next((wanted for wanted in self._names if name == wanted or name.startswith(f"{wanted}.")), None)


def _names(wanted: Any) -> tuple[str, ...]:
    try:
        names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    except TypeError:
        names = (wanted,)
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"capture: {wanted!r} is not allowed. Allowed: True for every logger, or names of loggers.")
    return names
