"""
The calls of a training at every step, as `instructions.py` counts them and `test_hot_paths.py` times them.

Each entry prepares a logger, a run or a tracker in the working folder and returns the call. The writer thread's work on
a record has entries of its own, so the thread is kept from running meanwhile: call `without_writer` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

Call = Callable[[], object]

#: Records that are encoded or decoded at once.
BATCH = 256


def without_writer() -> None:
    """Keep the writer thread asleep, before its first record: the calls alone are meant."""
    from refunc.outlets import pump

    pump.POLL = 3_600.0


def _logger(**options: Any) -> Any:
    from refunc.logging import MLLogger

    logger = MLLogger("train", **options)
    for handler in logger.handlers[:]:
        logger.remove_handler(handler)
    return logger


def _metrics_of(logger: Any) -> Call:
    log_metrics = logger.log_metrics
    return lambda: log_metrics({"loss": 0.5, "accuracy": 0.25}, step=7)


def metrics_explicit() -> Call:
    logger = _logger()
    logger.start_experiment("explicit")
    return _metrics_of(logger)


def metrics_ambient() -> Call:
    from refunc.logging import experiment_context

    experiment_context("ambient").__enter__()
    return _metrics_of(_logger())


def metrics_implicit() -> Call:
    return _metrics_of(_logger())


def line() -> Call:
    logger = _logger()
    logger.start_experiment("line")
    return lambda: logger.info("epoch done", extra={"epoch": 3, "loss": 0.5, "lr": 0.001, "device": "cuda:0"})


def disabled() -> Call:
    logger = _logger()
    return lambda: logger.debug("epoch %d: %f", 3, 0.5)


def update() -> Call:
    from refunc.logging import ProgressTracker

    tracker = ProgressTracker(1e9, "steps", _logger(experiment_tracking=False))
    return lambda: tracker.update(1)


def update_metrics() -> Call:
    from refunc.logging import ProgressTracker

    tracker = ProgressTracker(1e9, "steps", _logger(experiment_tracking=False))
    return lambda: tracker.update(1, {"loss": 0.5, "accuracy": 0.25})


def track() -> Call:
    from refunc.logging import ProgressTracker

    steps: Iterator[Any] = ProgressTracker(1e9, "steps", _logger(experiment_tracking=False)).track(repeat(None))
    return lambda: next(steps)


def encode() -> Call:
    """Make lines of records of two metrics, as the writer thread does with a batch."""
    writer, batch = _writer_and_batch()
    return lambda: writer._encode(batch, 0, 0)


def decode() -> Call:
    """Read such lines back, as delivery does with a window."""
    from refunc.journal.tail import Tail

    writer, _ = _writer_and_batch()
    writer.flush()
    folder = writer.folder.path
    return lambda: Tail(folder).read(BATCH)


def _writer_and_batch() -> tuple[Any, list[Any]]:
    logger = _logger()
    logger.start_experiment("batch")
    writer = logger._run.writer
    log = _metrics_of(logger)
    writer.flush()
    for _ in range(BATCH):
        log()
    return writer, list(writer.queue)


@dataclass(frozen=True)
class HotPath:
    """The call that *prepare* returns handles *records* at once."""

    prepare: Callable[[], Call]
    records: int = 1


HOT_PATHS = {
    "log_metrics of 2, explicit run": HotPath(metrics_explicit),
    "log_metrics of 2, in a context": HotPath(metrics_ambient),
    "log_metrics of 2, implicit run": HotPath(metrics_implicit),
    "info with 4 fields": HotPath(line),
    "debug below the level": HotPath(disabled),
    "update(1)": HotPath(update),
    "update(1, {2 metrics})": HotPath(update_metrics),
    "track": HotPath(track),
    f"encode {BATCH} metrics lines": HotPath(encode, BATCH),
    f"decode {BATCH} metrics lines": HotPath(decode, BATCH),
}
