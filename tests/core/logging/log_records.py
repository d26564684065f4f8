"""Records of the levels as formatters get them, at a fixed moment."""

from __future__ import annotations

import logging
import pathlib
from typing import Any

from refunc.logging.formatters.fields import Fields, carry
from refunc.logging.levels import LogLevel

WHEN = 1_705_314_645.123  # 2024-01-15 10:30:45.123 UTC


def record(
    level: int = logging.INFO, msg: object = "message", *args: object, fields: Any = None, **attributes: Any
) -> logging.LogRecord:
    made = logging.LogRecord("training", level, __file__, 1, msg, args, None)
    made.created = WHEN
    made.__dict__.update(attributes)
    if fields is not None:
        carry(made, fields)
    return made


def log_lines() -> list[logging.LogRecord]:
    """Return the records of a day at work: every level, every kind of field, a traceback, an attack."""
    metrics = {"loss": 0.23412, "accuracy": 0.92, "lr": 1.2e-05, "tokens": 12345, "rate": 81234.5}
    return [
        *(record(level, f"a line at {level.name}") for level in LogLevel),
        record(35, "a level that nobody named"),
        record(LogLevel.METRIC, "metrics", fields=Fields(metrics=metrics, step=100, epoch=3)),
        record(LogLevel.METRIC, "later", fields=Fields(metrics={"loss": 0.12, "accuracy": 0.95}, step=200, epoch=3)),
        record(LogLevel.METRIC, "", fields=Fields(metrics={"loss": float("nan"), "best": float("-inf")}, step=12345)),
        record(
            logging.INFO,
            "Training step %d completed",
            7,
            fields=Fields(
                metrics={"loss": 0.0012},
                tags={"phase": "training", "model": "resnet"},
                artifacts=("checkpoint.pkl", "plots/loss curve.png"),
                extra={"gpu_memory": "8.2GB", "batch_time": 0.15, "shape": [8, 3, 224], "note": 'say "hi"'},
                experiment_id="exp_001",
                run_id="run_001",
            ),
        ),
        record(logging.DEBUG, "another library's line", path=pathlib.PurePosixPath("/data/x"), tries=1234567),
        record(
            logging.WARNING, "two lines\n10:30:45 INFO forged \x1b[31mred\r\x9b\u202e\ud800", fields=Fields(epoch=1)
        ),
        record(
            logging.ERROR,
            "step failed",
            exc_text="Traceback (most recent call last):\n  File ...\nValueError: \x1b[2J",
            stack_info="Stack (most recent call last):\n  File ...",
        ),
        record(logging.INFO, "%d of %s", "x"),
    ]
