"""`alert`: a line at one of three levels."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from time import monotonic
from typing import Any, Final

_WAIT: Final = 60.0


class AlertLevel(Enum):
    """The levels of an alert."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Alerts:
    """The alerts of a run."""

    def __init__(self, logger: Any) -> None:
        """
        Args:
            logger: Has the calls `info`, `warning` and `error`.
        """
        self._calls = {AlertLevel.INFO: logger.info, AlertLevel.WARN: logger.warning, AlertLevel.ERROR: logger.error}
        self._told: dict[str, float] = {}

    def tell(self, title: str, text: str, level: Any, wait: float | timedelta | None) -> None:
        """Log a line, unless one of the same title was logged a short time before."""
        try:
            known = level if isinstance(level, AlertLevel) else AlertLevel(str(level or "INFO").upper())
        except ValueError:
            raise ValueError(f"alert: level={level!r} is unknown. Allowed: INFO, WARN, ERROR.") from None
        seconds = wait.total_seconds() if isinstance(wait, timedelta) else _WAIT if wait is None else float(wait)
        now = monotonic()
        if now - self._told.get(title, -seconds - now) >= seconds:
            self._told[title] = now
            self._calls[known]("%s: %s", title, text)
