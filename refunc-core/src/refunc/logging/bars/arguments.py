"""The arguments of progress trackers: totals, counts and metrics."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any

from refunc.logging.bars.bar import short
from refunc.logging.notices import warn_once
from refunc.values.jsonable import is_mapping

#: The largest count that is shown: beyond it, arithmetic raises.
MOST = 1e300


def checked_total(option: str, value: Any) -> float | None:
    """
    Return *value* as a number of things to do; None, infinity and numbers close to it mean that the total is unknown.

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
    except Exception:  # a user's object may raise anything; the message names the value
        hint = " To count the items of an iterable, use track(iterable)." if isinstance(value, Iterable) else ""
        raise ValueError(f"{option}: {short(value)!r} is not a number.{hint}") from None
    if not number >= 0:
        raise ValueError(f"{option}: {number} is not a number of steps. Give 0 or more, or None if it is not known.")
    return None if number > MOST else number


def counted(n: Any, metrics: Mapping[str, Any] | None) -> tuple[float, Mapping[str, Any] | None]:
    """Return count and metrics of an `update` call whose first argument is not a plain int."""
    if type(n) is dict or is_mapping(n):  # An ABC's isinstance would be slow here.
        return 1, n if metrics is None else {**shown_metrics(n), **shown_metrics(metrics)}
    try:
        count = n if type(n) is float else operator.index(n) if hasattr(n, "__index__") else float(n)
        if -MOST <= count <= MOST:  # excludes NaN, which would stay in the count for good
            return count, metrics
    except Exception:  # see above, but this is the middle of a training
        pass
    warn_once(f"count {type(n).__name__}", "update: %r is neither a count nor metrics; one step is counted.", short(n))
    return 1, metrics


def shown_metrics(metrics: Any) -> dict[str, Any]:
    """Return a copy of *metrics*; empty unless they are a mapping."""
    try:
        return dict(metrics) if metrics is not None else {}
    except Exception:  # not a mapping, or one whose own code raises
        return {}
