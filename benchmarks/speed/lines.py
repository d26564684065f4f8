"""A message with four fields, of every logging package: into a file, to a coloured console, below the level."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import limits
from measuring import Figures, Work, block_mean, measure_calls

Start = Callable[[str], Work]

# -- the standard library, and packages with its interface -----------------------------------------------------------


def _percent(logger: Any) -> Callable[[int], object]:
    return lambda number: logger.info("epoch done epoch=%d loss=%f lr=%f device=%s", number, 0.5, 0.001, "cuda:0")


def _stdlib(name: str, *handlers: logging.Handler) -> logging.Logger:
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    form = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    for handler in handlers:
        handler.setFormatter(form)
        logger.addHandler(handler)
    return logger


def stdlib_file(name: str) -> Work:
    handler = logging.FileHandler(f"{name}.log")
    return Work(_percent(_stdlib(name, handler)), handler.close)


def stdlib_queue(name: str) -> Work:
    handler = logging.FileHandler(f"{name}.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    waiting: queue.Queue[Any] = queue.Queue()
    listener = logging.handlers.QueueListener(waiting, handler)
    listener.start()
    logger = _stdlib(name)
    logger.addHandler(logging.handlers.QueueHandler(waiting))

    def close() -> None:
        listener.stop()
        handler.close()

    return Work(_percent(logger), close)


def stdlib_console(name: str) -> Work:
    return Work(_percent(_stdlib(name, logging.StreamHandler(_console()))))


def picologging_file(name: str) -> Work:
    import picologging

    handler = picologging.FileHandler(f"{name}.log")
    handler.setFormatter(picologging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = picologging.getLogger(name)
    logger.setLevel(picologging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    return Work(_percent(logger), handler.close)


# -- loguru, structlog, rich -----------------------------------------------------------------------------------------


def _loguru(target: Any, **options: Any) -> Work:
    from loguru import logger

    logger.remove()
    logger.add(target, level="INFO", **options)

    def call(number: int) -> None:
        logger.info(
            "epoch done epoch={epoch} loss={loss} lr={lr} device={device}",
            epoch=number,
            loss=0.5,
            lr=0.001,
            device="cuda:0",
        )

    return Work(call, logger.remove)


def loguru_file(name: str) -> Work:
    return _loguru(f"{name}.log")


def loguru_serialized(name: str) -> Work:
    return _loguru(f"{name}.log", serialize=True)


def loguru_console(name: str) -> Work:
    return _loguru(_console(), colorize=True)


def _structlog(**options: Any) -> Any:
    import structlog

    structlog.configure(
        cache_logger_on_first_use=True, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO), **options
    )
    logger = structlog.get_logger()
    logger.info("the first line binds the logger")
    return logger.bind()


def _keywords(logger: Any) -> Callable[[int], object]:
    return lambda number: logger.info("epoch done", epoch=number, loss=0.5, lr=0.001, device="cuda:0")


def structlog_fast(name: str) -> Work:
    """Structlog as its page on performance says: orjson, bytes, no standard library."""
    import orjson
    import structlog

    file = open(f"{name}.jsonl", "ab")  # noqa: SIM115  # `close` closes it
    logger = _structlog(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(file=file),
    )
    return Work(_keywords(logger), file.close)


def structlog_console(name: str) -> Work:
    import structlog

    logger = _structlog(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=True),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=_console()),
    )
    return Work(_keywords(logger))


def rich_console(name: str) -> Work:
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(file=_console(), force_terminal=True, width=120))
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    return Work(_percent(logger))


# -- refunc ----------------------------------------------------------------------------------------------------------


def _refunc(name: str, *, journal: bool = False, file: bool = False, console: bool = False) -> Any:
    from refunc.logging import MLLogger

    logger = MLLogger(name, experiment_tracking=journal)
    if not console:
        for handler in logger.handlers[:]:
            logger.remove_handler(handler)
    if not file:
        from refunc.logging.logfiles import shelf

        shelf.close_all()  # there is no option for it: only a benchmark of the rest does without
    return logger


def _extra(logger: Any) -> Callable[[int], object]:
    return lambda number: logger.info(
        "epoch done", extra={"epoch": number, "loss": 0.5, "lr": 0.001, "device": "cuda:0"}
    )


def refunc_journal(name: str) -> Work:
    logger = _refunc(name, journal=True)
    logger.start_experiment(name, name)
    return Work(_extra(logger), logger.end_experiment, logger.flush)


def refunc_file(name: str) -> Work:
    logger = _refunc(name, file=True)
    return Work(_extra(logger), logger.flush, logger.flush)


def refunc_console(name: str) -> Work:
    sys.stderr = _console()
    os.environ["FORCE_COLOR"] = "1"
    return Work(_extra(_refunc(name, console=True)))


def refunc_all(name: str) -> Work:
    """As it is without settings: console, text file and journal."""
    sys.stderr = _console()
    os.environ["FORCE_COLOR"] = "1"
    logger = _refunc(name, journal=True, file=True, console=True)
    logger.start_experiment(name, name)
    return Work(_extra(logger), logger.end_experiment, logger.flush)


# -- the rest --------------------------------------------------------------------------------------------------------


def limit_queue(name: str) -> Work:
    limit = limits.Queue(name)
    return Work(lambda number: limit.line("epoch done", epoch=number, loss=0.5, lr=0.001, device="cuda:0"), limit.close)


def _console() -> Any:
    """Return a console that takes everything and shows nothing."""
    return open(os.devnull, "w")


CASES: dict[str, tuple[Start, int]] = {
    "limit: queue": (limit_queue, 50_000),
    "refunc journal": (refunc_journal, 50_000),
    "refunc text file": (refunc_file, 30_000),
    "refunc console": (refunc_console, 10_000),
    "refunc console, file, journal": (refunc_all, 10_000),
    "structlog": (structlog_fast, 30_000),
    "picologging file": (picologging_file, 30_000),
    "logging file": (stdlib_file, 20_000),
    "logging queue": (stdlib_queue, 20_000),
    "loguru file": (loguru_file, 10_000),
    "loguru serialize": (loguru_serialized, 10_000),
    "logging console": (stdlib_console, 10_000),
    "loguru console": (loguru_console, 10_000),
    "structlog console": (structlog_console, 10_000),
    "rich console": (rich_console, 1_000),
}


def measure(name: str) -> Figures:
    start, calls = CASES[name]
    return measure_calls(start, calls, Path.cwd())


# -- below the level -------------------------------------------------------------------------------------------------


def _disabled_percent(logger: Any) -> Callable[[int], object]:
    return lambda number: logger.debug("epoch done epoch=%d loss=%f lr=%f device=%s", number, 0.5, 0.001, "cuda:0")


def _disabled_extra(logger: Any) -> Callable[[int], object]:
    return lambda number: logger.debug(
        "epoch done", extra={"epoch": number, "loss": 0.5, "lr": 0.001, "device": "cuda:0"}
    )


def _disabled_keywords(logger: Any) -> Callable[[int], object]:
    return lambda number: logger.debug("epoch done", epoch=number, loss=0.5, lr=0.001, device="cuda:0")


def _picologging() -> Any:
    import picologging

    logger = picologging.getLogger("disabled")
    logger.setLevel(picologging.INFO)
    return logger


def _loguru_info() -> Any:
    from loguru import logger

    logger.remove()
    logger.add(_console(), level="INFO")
    return logger


DISABLED: dict[str, Callable[[], Callable[[int], object]]] = {
    "logging, 4 arguments": lambda: _disabled_percent(_stdlib("disabled")),
    "logging, 4 in `extra`": lambda: _disabled_extra(_stdlib("disabled")),
    "refunc, 4 arguments": lambda: _disabled_percent(_refunc("disabled", journal=True, file=True, console=True)),
    "refunc, 4 in `extra`": lambda: _disabled_extra(_refunc("disabled", journal=True, file=True, console=True)),
    "picologging, 4 arguments": lambda: _disabled_percent(_picologging()),
    "loguru, 4 keywords": lambda: _disabled_keywords(_loguru_info()),
    "structlog, 4 keywords": lambda: _disabled_keywords(_structlog(logger_factory=_no_structlog)),
}


def _no_structlog(*_: object) -> Any:
    import structlog

    return structlog.PrintLogger(_console())


def measure_disabled(name: str) -> Figures:
    return {"call": block_mean(DISABLED[name]())}
