"""Other handlers that show a record in the same place as refunc's console, which then leaves the record to them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any, TextIO


def handler_showing(console: logging.Handler, record: logging.LogRecord, stream: TextIO) -> logging.Handler | None:
    """
    Return the handler next to *console*, or above it up to root, that shows *record* in the same place as *stream*.

    Looked up for each record: handlers come and go, and `propagate` is a plain attribute. None if it is not certain:
    showing a line twice is better than not at all.
    """
    name = record.name
    own = logging.root if name == logging.root.name else logging.Logger.manager.loggerDict.get(name)
    logger = own if isinstance(own, logging.Logger) else None
    if logger is not None and len(logger.handlers) == 1 and not logging.root.handlers and "." not in name:
        return None  # nearly always
    passed = False
    while logger is not None:
        here = console in logger.handlers
        passed = passed or here
        # Those below the console's own logger have had their turn. One that another handler wraps (a buffer, say) is
        # on no logger: for it only root counts.
        if passed or logger.parent is None:
            for other in logger.handlers:
                # Two of refunc's consoles on one logger are there because a user wants both.
                is_twin = other is console or (here and hasattr(other, "stand_in_for"))
                if not is_twin and _shows(other, record, stream, console):
                    return other
        if not logger.propagate:
            return None
        logger = logger.parent
    return None


def _shows(handler: logging.Handler, record: logging.LogRecord, stream: TextIO, console: logging.Handler) -> bool:
    try:
        if _may_not_show(handler, record):
            return False
        target = _stream_of(handler)
        if target is not None:
            return _same_place(target, stream)
        # One that passes records on: absl's, refunc's AsyncHandler.
        inner = list(_wrapped_by(handler))
        return console not in inner and any(
            not _may_not_show(wrapped, record) and _same_place(_stream_of(wrapped), stream) for wrapped in inner
        )
    except Exception:  # a handler whose attributes run other code
        return False


def _may_not_show(handler: logging.Handler, record: logging.LogRecord) -> bool:
    return (
        record.levelno < handler.level
        # A filter's answer is unknown without running it, and some filters let each message pass only once.
        or bool(handler.filters)
        # A buffer, stdlib's or refunc's, shows the line late, or never.
        or hasattr(handler, "shouldFlush")
        or hasattr(handler, "auto_flush")
    )


def _stream_of(handler: logging.Handler) -> Any:
    """Return the stream of *handler*, by the attributes of stdlib's, rich's and pytest's handlers, or None."""
    console = getattr(handler, "console", None)
    stream = getattr(handler, "stream", None) if console is None else getattr(console, "file", None)
    return getattr(getattr(stream, "_tw", None), "_file", stream)


def _wrapped_by(handler: logging.Handler) -> Iterator[logging.Handler]:
    for value in vars(handler).values():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(one, logging.Handler) and one is not handler:
                yield one


def _same_place(one: Any, other: Any) -> bool:
    """Whether two streams lead to the same terminal, file, pipe or cell of a notebook, even as different objects."""
    if one is other:
        return True
    of_kernel = [type(stream).__module__.startswith("ipykernel.") for stream in (one, other)]
    if any(of_kernel):  # their `fileno` is that of the server's terminal
        return all(of_kernel)
    try:
        descriptors = one.fileno(), other.fileno()
        if descriptors[0] == descriptors[1]:
            return True
        here, there = map(os.fstat, descriptors)
        if not here.st_ino:  # Windows does not identify consoles and pipes
            return bool(one.isatty() and other.isatty())
    except Exception:  # without a file (StringIO), closed, or a user's stream-like object
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
