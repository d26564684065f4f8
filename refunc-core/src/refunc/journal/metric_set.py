"""
Metrics that are logged together, by their names: this makes the second call with the same names cheap.

A training logs the same few sets of names all the time. Once a set is known, one call into C takes its values from the
caller's dict, and at the same time checks that the names are the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from operator import itemgetter
from typing import Any


@cache  # for interpreter shutdown, where imports fail and `__del__` may log
def encoded_module() -> Any:
    """Return the module `encoded`, imported at the first call."""
    try:
        from refunc.journal import encoded
    except ImportError:
        if not sys.is_finalizing():
            raise
        return _Dropped  # no run was open before shutdown, and none can be opened: see `logging.active.opening.new_run`
    return encoded


class _Dropped:
    """Replaces `encoded` if that can no longer be imported."""

    @staticmethod
    def values_row(names: tuple[str, ...]) -> Callable[..., None]:
        return _Dropped.MetricsRow

    @staticmethod
    def MetricsRow(*values: Any) -> None:  # noqa: N802  # the name of a class
        return


class MetricSet:
    """
    The names of metrics that are logged together, in the order of their first call.

    `pick` takes the values of these names out of a mapping, and raises KeyError if one is missing. `values` turns them
    into the object that is encoded as the JSON object of names and values, `record` makes an `encoded.MetricsRow`; see
    `prepare`.
    """

    __slots__ = ("names", "pick", "record", "values", "width")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.width = len(names)
        self.pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = _picker(names)

    record: Callable[..., Any]
    values: Callable[..., Any]

    def prepare(self) -> None:
        """
        Find `values` and `record` at the first call that needs them, so that importing refunc does not load
        msgspec.
        """
        if hasattr(self, "record"):
            return
        encoded = encoded_module()
        self.values = encoded.values_row(self.names)
        self.record = encoded.MetricsRow


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda metrics: tuple([metrics[name] for name in names])  # for one name, itemgetter does not return a tuple
