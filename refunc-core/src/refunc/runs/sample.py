"""The mean, the spread and the quantiles of some values, also where their sum is too large for a float."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Final

#: The names of the facts that `described` tells.
DESCRIBED: Final = ("n", "mean", "std", "median", "q25", "q75", "min", "max")


def described(ordered: Sequence[float]) -> tuple[float | None, ...]:
    """Return the facts DESCRIBED about values that are in order, as the rows of tables have them; None without any."""
    if not ordered:
        return 0, *(None,) * (len(DESCRIBED) - 1)
    quartiles = quantile_of(ordered, 0.25), quantile_of(ordered, 0.75)
    return len(ordered), mean_of(ordered), spread_of(ordered), median_of(ordered), *quartiles, ordered[0], ordered[-1]


def mean_of(values: Sequence[float]) -> float:
    """Return the mean of values, of which some may be infinite, or so large that their sum is."""
    try:
        return fmean(values)
    except OverflowError:
        mean = 2 * math.fsum(value / 2 / len(values) for value in values)
        return max(min(values), min(mean, max(values)))  # rounding may make it infinite
    except ValueError:  # both infinities
        return math.nan


def spread_of(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample of finite values; None for fewer than two, or infinite ones."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    # Not `stdev`, which calculates with fractions: ten times as long.
    mean = mean_of(values)
    try:
        return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    except OverflowError:  # the squares are too large
        scale = max(abs(value - mean) for value in values)
        return scale * math.sqrt(math.fsum(((value - mean) / scale) ** 2 for value in values) / (len(values) - 1))


def median_of(ordered: Sequence[float]) -> float:
    """Return the median of values that are in order."""
    middle = median(ordered)
    return middle if math.isfinite(middle) else quantile_of(ordered, 0.5)  # the sum of two may be too large


def quantile_of(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of values that are in order, interpolated between its neighbours."""
    position = (len(ordered) - 1) * share
    low = math.floor(position)
    return ordered[low] if low == position else between(ordered[low], ordered[low + 1], position - low)


def between(start: float, end: float, share: float) -> float:
    """Return the value at *share*, more than 0 and less than 1, of the way from *start* to *end*."""
    if start == end:
        return start
    value = start + (end - start) * share
    # One of them is infinite, or their distance is too large for a float.
    return value if math.isfinite(value) else start * (1 - share) + end * share
