"""
Metrics that are logged together, by their names: what makes the second call with the same names cheap.

A training logs the same few sets of names all the time. Once a set is known, its values leave the caller's dict by one
call into C that at the same time tells whether they are the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

_rows: list[Any] = []


class MetricSet:
    """
    The names of metrics that are logged together, in the order of their first call.

    `pick` takes the values of these names out of a mapping, and raises KeyError where one is missing. `values` makes of
    them what is encoded as the JSON object of names and values, `record` a `rows.MetricsRow`; see `prepare`.
    """

    __slots__ = ("names", "pick", "record", "values", "width")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.width = len(names)
        self.pick: Callable[[Mapping[str, Any]], tuple[Any, ...]] = _picker(names)

    record: Callable[..., Any]
    values: Callable[..., Any]

    def prepare(self) -> None:
        """Find `values` and `record`, at the first call that needs them: no import of refunc loads what is behind."""
        if hasattr(self, "record"):
            return
        if not _rows:
            from refunc.journal import rows

            _rows.append(rows)  # for the end of the interpreter, where nothing can be imported and `__del__` may log
        self.values = _rows[0].values_row(self.names)
        self.record = _rows[0].MetricsRow


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda metrics: tuple([metrics[name] for name in names])  # of one name, itemgetter makes no tuple
