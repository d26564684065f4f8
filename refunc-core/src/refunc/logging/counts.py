"""What trackers of progress are given: totals, counts, and the metrics beside them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

from refunc.journal.values import is_mapping
from refunc.logging.bar import short
from refunc.logging.report import warn_once

#: What counts are shown up to: beyond it, arithmetic with them raises.
MOST = 1e300


def checked_total(option: str, value: Any) -> float | None:
    """
    Return *value* as a number of things to do; None, infinity and what is as good as that mean that nobody knows.

    Raises:
        ValueError: Not a number, not a number of things (NaN), or negative. The message names *option*.
    """
    if value is None:
        return None
    number: float
    try:
        if isinstance(value, (str, bytes, bool)):
            raise TypeError
        number = operator.index(value) if hasattr(value, "__index__") else float(value)
    except Exception:  # a user's object may raise what it likes; the message says what was given
        hint = " To count the items of an iterable, use track(iterable)." if isinstance(value, Iterable) else ""
        raise ValueError(f"{option}: {short(value)!r} is not a number.{hint}") from None
    if not number >= 0:
        raise ValueError(f"{option}: {number} is not a number of steps. Give 0 or more, or None if nobody knows.")
    return None if number > MOST else number


def counted(n: Any, metrics: Mapping[str, Any] | None) -> tuple[float, Mapping[str, Any] | None]:
    """Tell the ways apart in which `update` may be called, where its first argument is not a plain int."""
    if type(n) is dict or is_mapping(n):  # An ABC's isinstance is what costs here.
        return 1, n if metrics is None else {**shown_metrics(n), **shown_metrics(metrics)}
    if type(n) is float:
        return n, metrics
    try:
        return operator.index(n) if hasattr(n, "__index__") else float(n), metrics
    except Exception:  # see above, but this is the middle of a training
        warn_once(
            f"count {type(n).__name__}",
            "update: %r is neither a count nor metrics; one step is counted.",
            short(n),
        )
        return 1, metrics


def shown_metrics(metrics: Any) -> dict[str, Any]:
    """Return a copy of *metrics*; what is no mapping has nothing to show."""
    try:
        return dict(metrics) if metrics is not None else {}
    except Exception:  # no mapping, or one whose own code raises
        return {}
