"""A handler for any stdlib logger that brings the lines of other libraries into the run."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from time import time
from typing import TYPE_CHECKING

from refunc.journal import kinds
from refunc.journal.line import QueuedRecord
from refunc.logging import current
from refunc.logging.active.blocks import ambient_run
from refunc.logging.active.loose_lines import loose_lines
from refunc.logging.arguments import known
from refunc.logging.formatters.fields import Fields, carry, fields_of, is_own
from refunc.logging.formatters.tracebacks import exc_info_of, trace_text
from refunc.logging.handlers.capture import Capture, Captured, leads_to
from refunc.logging.handlers.unseen import handlers_on_the_way, show_unseen, shows
from refunc.logging.handlers.wrapper import NoLock
from refunc.logging.levels import level_number
from refunc.logging.metrics import split_metrics
from refunc.logging.shared_loggers import get_logger
from refunc.values.jsonable import jsonable_mapping
from refunc.values.texts import excerpt, text

if TYPE_CHECKING:
    from refunc.logging.active.run import ActiveRun
    from refunc.logging.tracker import ExperimentTracker


class RunHandler(logging.Handler):
    """
    Brings the lines of any stdlib logger into the run: usable by name in `logging.config.dictConfig`.

    A line goes to the run that is current where it is logged. Outside any run it waits for the next one, as refunc's
    own lines do. refunc's own records are ignored: they are on their way already. The handler does I/O only for ERROR
    and above, and never raises. Warnings that Python shows itself without any handler are still shown.
    """

    refunc_shows = False
    #: The tracker whose run gets the lines; None for the run that is current where a line is logged.
    _tracker: ExperimentTracker | None = None

    def __init__(self, level: int | str = logging.NOTSET, *, capture: bool | str | Iterable[str] = False) -> None:
        """
        Args:
            level: The lowest level that goes to the run.
            capture: Names of loggers whose lines are taken although they do not propagate to this handler, including
                loggers below them and those of libraries that are imported later; True for every such logger; "root"
                for every logger.

        Raises:
            ValueError: An unknown level, or a name that is not text.
        """
        super().__init__()
        self.setLevel(level_number(level))
        self._capture = Capture(self, capture) if capture is not False and capture is not None else None

    @classmethod
    def capture(
        cls, *names: str, level: int | str = logging.NOTSET, tracker: ExperimentTracker | None = None
    ) -> RunHandler:
        """
        Return a handler that brings the lines of these loggers, and of those below them, into the run.

        It is on no other logger, and works until `close()`. For libraries that do not propagate, or to take their lines
        alone: `RunHandler.capture("transformers", "optuna")`. All loggers are below "root". A line that another
        RunHandler has taken is in the run once.

        Args:
            tracker: Its run gets the lines while it is open, but for those from a block within that run. Default: the
                run that is current where a line is logged.

        Raises:
            ValueError: Without a name, or an unknown level.
        """
        if not names:
            raise ValueError('capture: give the names of loggers, such as RunHandler.capture("transformers").')
        handler = cls(level, capture=names)
        handler._tracker = tracker
        return handler

    def setLevel(self, level: int | str) -> None:  # noqa: N802  # stdlib's name
        """Set the lowest level that goes to the run; warnings below it still reach this handler, see `unseen`."""
        super().setLevel(level)
        self._least = self.level
        self.level = min(self.level, logging.WARNING)

    def close(self) -> None:
        """Remove the handlers that `capture` added to loggers."""
        if self._capture is not None:
            self._capture.close()
        super().close()

    def createLock(self) -> None:  # noqa: N802  # stdlib's name
        """Use no lock; see NoLock."""
        self.lock = NoLock()  # type: ignore[assignment]  # all that stdlib asks of it

    def emit(self, record: logging.LogRecord) -> None:
        """Queue *record* for the journal."""
        if record.levelno >= logging.WARNING and self._is_first(record):
            show_unseen(record)
        if record.levelno < self._least or is_own(record) or record.name.split(".", 1)[0] == "refunc":
            return
        own = self._tracker._current_run() if self._tracker is not None else None
        if own is not None and not own.accepts():
            return
        try:
            fields = fields_of(record)
            line = _line(record, fields)
            carry(record, fields)  # the next handler of this kind sees that it is on its way
        except Exception:  # arguments that do not fit, a hostile object: as stdlib handlers do
            self.handleError(record)
            return
        run = current.existing_run() if own is None else _inner_block(own) or own
        if run is None and current.is_ambiguous():
            # As for refunc's own lines, the run is the implicit one; the default logger opens it.
            run = get_logger()._line_run(record.levelno)
        if run is None:
            loose_lines.append(QueuedRecord(kinds.LOG, record.created or time(), line))
        elif record.levelno >= logging.ERROR:
            run.put_through(kinds.LOG, line, record.created)
        else:
            run.put(kinds.LOG, line, record.created)

    def _is_first(self, record: logging.LogRecord) -> bool:
        """Whether no other handler of this kind gets *record* before it."""
        for other in handlers_on_the_way(record.name):
            if not shows(other):
                all_targets = getattr(other, "all_targets", None)
                targets: Iterable[logging.Handler] = all_targets() if all_targets is not None else [other]
                first = next((target for target in targets if isinstance(target, (RunHandler, Captured))), other)
                return leads_to(first, self)
        return False


def _inner_block(own: ActiveRun) -> ActiveRun | None:
    """Return the run of the block that this thread or task is in, if it is within *own*, such as a study's trial."""
    block = ambient_run()
    is_inner = block is not None and (block.parent_id == own.run_id or own.run_id in block.blocks)
    return block if is_inner else None


def _line(record: logging.LogRecord, fields: Fields) -> dict[str, object]:
    plain, other = split_metrics(fields.metrics)
    # Not `exc_text`, if there is more: an earlier handler's formatter has given it its own form.
    error = exc_info_of(record.exc_info)
    exception = record.exc_text if error is None else trace_text(error)
    return {
        "level": record.levelname,
        "message": text(record.getMessage()),
        "logger": record.name,
        **known(
            step=fields.step,
            epoch=fields.epoch,
            metrics=plain,
            other=other,
            tags=dict(fields.tags),
            extra=jsonable_mapping(fields.extra),
            at=f"{record.filename}:{record.lineno}",
            exception=excerpt(exception) if exception else None,
            stack=excerpt(record.stack_info) if record.stack_info else None,
        ),
    }
