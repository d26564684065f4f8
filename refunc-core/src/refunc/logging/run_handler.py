"""A handler for any stdlib logger that brings the lines of other libraries into the run."""

from __future__ import annotations

import logging
from time import time

from refunc.journal import kinds
from refunc.journal.values import excerpt, jsonable_mapping, text
from refunc.logging import current
from refunc.logging.fields import fields_of, is_own
from refunc.logging.handlers import NoLock
from refunc.logging.levels import level_number
from refunc.logging.payload import known, split_metrics
from refunc.logging.setup import get_logger


class RunHandler(logging.Handler):
    """
    Brings the lines of any stdlib logger into the run: usable by name in `logging.config.dictConfig`.

    A line goes to the run that is current where it is logged; outside any run it waits for the next one, as refunc's
    own lines do. refunc's own records are left alone: they are on their way already. No I/O but for ERROR and above,
    and no exception.
    """

    def __init__(self, level: int | str = logging.NOTSET) -> None:
        super().__init__(level_number(level))

    def createLock(self) -> None:  # noqa: N802  # stdlib's name
        """Have no lock; see NoLock."""
        self.lock = NoLock()  # type: ignore[assignment]  # all that stdlib asks of it

    def emit(self, record: logging.LogRecord) -> None:
        """Queue *record* for the journal."""
        if is_own(record) or record.name.split(".", 1)[0] == "refunc":
            return
        try:
            line = _line(record)
        except Exception:  # arguments that do not fit, a hostile object: as stdlib handlers do
            self.handleError(record)
            return
        run = current.existing_run()
        if run is None and current.is_ambiguous():
            # As for refunc's own lines, the run is the implicit one; the default logger opens it.
            run = get_logger()._line_run(record.levelno)
        if run is None:
            current.loose_lines.append((kinds.LOG, record.created or time(), line))
        elif record.levelno >= logging.ERROR:
            run.put_through(kinds.LOG, line, record.created)
        else:
            run.put(kinds.LOG, line, record.created)


def _line(record: logging.LogRecord) -> dict[str, object]:
    fields = fields_of(record)
    plain, other = split_metrics(fields.metrics)
    exception = record.exc_text or (logging.Formatter().formatException(record.exc_info) if record.exc_info else None)
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
        ),
    }
