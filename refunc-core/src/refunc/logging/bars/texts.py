"""Progress in words, as the lines have it that are written where no bar is drawn."""

from __future__ import annotations

from refunc.values.quantities import duration, figure


def reached_text(completed: float, total: float | None, rate: float, unit: str) -> str:
    """Return `450/1000 (45 %), 350 it/s, 2 s left`."""
    parts = [_count(completed)]
    if total:
        parts[0] += f"/{_count(total)} ({_count(round(100 * completed / total))} %)"
    if rate > 0:
        parts.append(_rate(rate, unit))
        if total and total > completed:
            parts.append(f"{duration((total - completed) / rate)} left")
    return ", ".join(parts)


def finished_text(completed: float, total: float | None, rate: float, unit: str, elapsed: float) -> str:
    """Return `1000/1000 in 3 s, 350 it/s`."""
    of_total = "" if total is None else f"/{_count(total)}"
    pace = f", {_rate(rate, unit)}" if rate > 0 else ""
    return f"{_count(completed)}{of_total} in {duration(elapsed)}{pace}"


def _rate(rate: float, unit: str) -> str:
    if rate < 1:
        return f"{duration(1 / rate)}/{unit}"
    return f"{figure(round(rate) if 1000 <= rate < 1e15 else rate)} {unit}/s"


def _count(number: float) -> str:
    return f"{number:.10g}"
