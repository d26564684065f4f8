"""The names of the values that sum up a metric."""

from __future__ import annotations

from typing import Final

#: The values besides the lowest and the highest that may represent a metric; `none` leaves it out of tables.
LAST, MEAN, NONE = "last", "mean", "none"
#: The values of a metric for expressions and columns.
STATISTICS: Final = (
    *("last", "min", "max", "mean", "first", "best", "count", "nans"),
    *("last_step", "min_step", "max_step", "first_step", "best_step"),
)
