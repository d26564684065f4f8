"""Where a line goes besides its run and the log files: the console, and any other handlers."""

from __future__ import annotations

import logging
from time import time
from typing import TYPE_CHECKING, Any

from refunc.logging.arguments import as_given
from refunc.logging.formatters.fields import Fields, carry
from refunc.logging.levels import level_number
from refunc.logging.lines.records import caller_outside, record_for
from refunc.logging.logfiles.shelf import set_level as set_level_of_files
from refunc.outlets.foreign import contain
from refunc.values.levels import WARNING

if TYPE_CHECKING:
    from refunc.logging.logfiles.logfile import LogFile


class Emission:
    """The stdlib logger of a logger's name, with its handlers and its level, and its log files."""

    name: str
    _level: int
    _stdlib: logging.Logger
    _files: list[LogFile]

    @property
    def handlers(self) -> list[logging.Handler]:
        """The stdlib handlers of this logger's name, refunc's console handler among them."""
        return list(self._stdlib.handlers)

    def add_handler(self, handler: logging.Handler) -> None:
        """
        Add any stdlib handler. An AsyncHandler or BufferedHandler without a target takes over the handlers that the
        logger has: it wraps them.
        """
        if not isinstance(handler, logging.Handler):
            raise TypeError(f"add_handler: {handler!r} is not a logging.Handler.")
        adopt = getattr(handler, "adopt", None)
        if adopt is not None and adopt(self._stdlib.handlers, self._stdlib):
            for wrapped in self._stdlib.handlers[:]:
                self._stdlib.removeHandler(wrapped)
        self._stdlib.addHandler(handler)

    def remove_handler(self, handler: logging.Handler) -> None:
        """
        Remove *handler*; one that is not there is ignored. An AsyncHandler or BufferedHandler that took over the
        logger's handlers is flushed, and the logger has them again.
        """
        handlers = self._stdlib.handlers
        give_back = getattr(handler, "give_back", None)
        if give_back is None or handler not in handlers:
            self._stdlib.removeHandler(handler)
            return
        place = handlers.index(handler)
        handlers[place : place + 1] = give_back(self._stdlib)  # in one step: any line finds a handler
        handler.flush()

    @property
    def level(self) -> int:
        """The number of the level below which lines are dropped; may also be set to a name."""
        return self._level

    @level.setter
    def level(self, level: int | str) -> None:
        self.set_level(level)

    def set_level(self, level: int | str) -> None:
        """Change the level below which lines are dropped. Raises ValueError if the level is not valid."""
        self._level = level_number(level)
        self._stdlib.setLevel(self._level)
        set_level_of_files(self.name, self._level)

    def _is_shown(self, level: int) -> bool:
        """Whether the stdlib logger handles a line of *level*; that is most of a line's cost."""
        stdlib = self._stdlib
        if stdlib.filters:
            return True
        while not stdlib.handlers:
            if stdlib.parent is None or not stdlib.propagate:
                return level >= WARNING  # `logging.lastResort`
            stdlib = stdlib.parent
        return True

    def _emit(
        self,
        level: int,
        message: str,
        frame: Any,
        error: Any,
        stack: str | None,
        moment: float,
        fields: Fields,
        given: Any = None,
    ) -> None:
        """
        Give the stdlib record of a line to the handlers of the stdlib logger.

        Its text is merged, because it may be formatted by another thread.

        Args:
            given: The mapping that `fields.extra` was made from, if they differ.
        """
        if not self._stdlib.isEnabledFor(level):
            return
        record = record_for(self._stdlib, level, message, frame, error, stack, moment)
        carry(record, fields)
        if fields.extra:
            attributes = record.__dict__
            unchanged = as_given(given) if given is not None else fields.extra
            for key, value in fields.extra.items():
                # As `extra=` does in the stdlib, for other libraries' handlers; a name that is already taken is left
                # out.
                attributes.setdefault(key, unchanged.get(key, value))
        try:
            self._stdlib.handle(record)
        except Exception as raised:  # from other libraries' code; a line must not raise it into the training
            contain(self._stdlib, record, raised)

    def _say(self, level: int, message: str, fields: Fields = Fields(), *, moment: float | None = None) -> None:  # noqa: B008  # a frozen value
        """Show a line to the handlers only: the journal has its content in another form."""
        if self._level <= level and self._is_shown(level):
            self._emit(level, message, caller_outside(), None, None, moment or time(), fields)
