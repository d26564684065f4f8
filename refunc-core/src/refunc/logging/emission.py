"""Where a line goes beside its run: to log files, the console, and whatever handlers others have put there."""

from __future__ import annotations

import logging
from time import time
from typing import TYPE_CHECKING, Any

from refunc.journal.levels import ERROR, WARNING
from refunc.logging.fields import Fields
from refunc.logging.levels import level_number
from refunc.logging.records import caller_outside, record_for
from refunc.logging.tracebacks import stack_text

if TYPE_CHECKING:
    from refunc.logging.logfile import LogFile


class Emission:
    """The stdlib logger of a logger's name, with its handlers and its level, and the log files beside it."""

    _level: int
    _stdlib: logging.Logger
    _files: list[LogFile]
    _has_lines: bool

    @property
    def handlers(self) -> list[logging.Handler]:
        """The stdlib handlers of this logger's name, refunc's console handler among them."""
        return list(self._stdlib.handlers)

    def add_handler(self, handler: logging.Handler) -> None:
        """
        Add any stdlib handler. An AsyncHandler or BufferedHandler without a target takes over the handlers that the
        logger has: it stands before them.
        """
        if not isinstance(handler, logging.Handler):
            raise TypeError(f"add_handler: {handler!r} is not a logging.Handler.")
        adopt = getattr(handler, "adopt", None)
        if adopt is not None and adopt(self._stdlib.handlers):
            for wrapped in self._stdlib.handlers[:]:
                self._stdlib.removeHandler(wrapped)
        self._stdlib.addHandler(handler)

    def remove_handler(self, handler: logging.Handler) -> None:
        """Take *handler* away; one that is not there is no error."""
        self._stdlib.removeHandler(handler)

    @property
    def level(self) -> int:
        """The number of the level below which lines are dropped; may be set to a name too."""
        return self._level

    @level.setter
    def level(self, level: int | str) -> None:
        self.set_level(level)

    def set_level(self, level: int | str) -> None:
        """Change the level below which lines are dropped. Raises ValueError for a level that is none."""
        self._level = level_number(level)
        self._stdlib.setLevel(self._level)

    def _is_shown(self, level: int) -> bool:
        """Whether the stdlib logger has anything to do with a line of *level*: most of what one costs is for that."""
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
        trace: str | None,
        with_stack: bool,
        moment: float,
        fields: Fields,
        is_shown: bool,
    ) -> None:
        """
        Give the stdlib record of a line to the log files and, if it *is_shown*, to the handlers of the stdlib logger.

        Its text is merged, because it is formatted again by another thread.
        """
        stack = stack_text(frame) if with_stack else None
        record = record_for(self._stdlib, level, message, frame, error, stack, moment, is_shown)
        record.refunc = fields
        record.exc_text = trace
        if is_shown and fields.extra:
            attributes = record.__dict__
            for key, value in fields.extra.items():
                # As `extra=` does in the stdlib, for other libraries' handlers; a name that is taken is no error here.
                attributes.setdefault(key, value)
        # What refunc says of its own accord makes no file: `logs/` has one for each logger that somebody used.
        for file in self._files if self._has_lines else ():
            if level >= ERROR:
                file.write(record)
            else:
                file.append(record)
        if is_shown and self._stdlib.isEnabledFor(level):
            self._stdlib.handle(record)

    def _say(self, level: int, message: str, fields: Fields = Fields(), *, moment: float | None = None) -> None:  # noqa: B008  # a frozen value
        """Show a line on the console and in the log files only: what it says stands in the journal in another form."""
        if self._level <= level:
            frame, is_shown = caller_outside(), self._is_shown(level)
            self._emit(level, message, frame, None, None, False, moment or time(), fields, is_shown)
