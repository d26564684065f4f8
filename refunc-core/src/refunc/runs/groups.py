"""Runs in groups, such as the seeds of one configuration, and the statistics of a metric in each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, SupportsIndex, TypeVar, overload

import attrs

from refunc.runs.bands import Band, Center, Spread, bands
from refunc.runs.expression.values import MISSING, number_of
from refunc.runs.metric_values import values_shown
from refunc.runs.run import Run
from refunc.runs.sample import DESCRIBED, described, mean_of, median_of, quantile_of, spread_of
from refunc.runs.table import columns_of, rows_of
from refunc.runs.tabular import Tabular
from refunc.runs.thinning import checked
from refunc.values.jsonable import spell_nonfinite

#: The values of a group's key, in the order of its names; None for a run that has none. A list is a tuple there, and
#: nested values are JSON.
Key = tuple[Any, ...]

_Item = TypeVar("_Item")


class Runs(Tabular, list[Run]):
    """The runs that a question found: a list, which can be grouped, and is a table with a row a run; so are parts."""

    @overload
    def __getitem__(self, at: SupportsIndex) -> Run: ...
    @overload
    def __getitem__(self, at: slice) -> Runs: ...
    def __getitem__(self, at: SupportsIndex | slice) -> Run | Runs:
        return Runs(super().__getitem__(at)) if isinstance(at, slice) else super().__getitem__(at)

    def group_by(self, *names: str) -> Groups:
        """
        Return the runs in groups of equal values, in the order in which the groups first occur.

        Args:
            names: Expressions such as `params.model`, `tags.team`, `experiment_name`. A run without such a value is in
                the group of None, and one with a text that reads as a number, as `1e-3`, in that of the number.

        Raises:
            ExpressionError: One of them is not valid, or no run has it.
            ValueError: No name is given.
        """
        if not names:
            raise ValueError('group_by: give the names to group by, such as group_by("params.model").')
        from refunc.runs.query import evaluated

        return Groups(names, [Group(key, Runs(runs)) for key, runs in by_values(evaluated(self, names))])

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one dict per run; see `Store.to_rows`."""
        from refunc.runs.prefetch import read_ahead

        with read_ahead(self) as runs:
            return rows_of(runs)


def by_values(given: Iterable[tuple[_Item, Sequence[Any]]]) -> list[tuple[Key, list[_Item]]]:
    """
    Return items in groups of equal values, each with its key, in the order in which the groups first occur.

    A missing value is None in the key; a text that reads as a number is in the group of the number, which is the key.
    """
    found: dict[Key, tuple[list[Any], list[_Item]]] = {}
    for item, values in given:
        own = [None if value is MISSING else value for value in values]
        key, items = found.setdefault(tuple(map(_hashable, own)), (own, []))
        if key != own:  # a number stands for the texts that read as it
            key[:] = [
                other if isinstance(one, str) and not isinstance(other, str) else one
                for one, other in zip(key, own, strict=True)
            ]
        items.append(item)
    return [(tuple(map(_in_key, key)), items) for key, items in found.values()]


@attrs.frozen
class Group:
    """Runs with equal values of the names that they were grouped by."""

    key: Key
    runs: Runs


@attrs.frozen
class Groups:
    """Groups of runs, in the order of their first runs."""

    names: tuple[str, ...]
    groups: list[Group]

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def metric(self, name: str) -> GroupedMetric:
        """
        Return *name* over the runs of each group: its value in each run, as a table shows it.

        That is the last value, or the one that `define_metric(summary=…)` chose. Name a statistic for another one:
        `val/loss.min`.

        Raises:
            UnknownMetricError: No run has it.
        """
        if not isinstance(name, str):
            raise TypeError(f"metric: give the name of a metric, and not {type(name).__name__}.")
        return GroupedMetric(name, self)


@attrs.frozen
class GroupedMetric(Tabular):
    """
    One metric over groups of runs.

    A run without a number for it (not logged, NaN) does not count. `std` is that of a sample (n − 1), and needs two
    runs; quartiles are interpolated, as numpy does by default.
    """

    name: str
    groups: Groups
    _values: list[list[float]] = attrs.field(init=False)
    _part: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        values, part = values_shown(self.name, [group.runs for group in self.groups])
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_part", part)

    @property
    def title(self) -> str:
        """Its name, with the value of each run that it stands for if that is not the last one: `val/acc.max`."""
        return self.name + self._part

    def values(self) -> dict[Key, list[float]]:
        """Return the values of each group, in the order of its runs."""
        return self._by_key(map(list, self._values))

    def count(self) -> dict[Key, int]:
        """Return the number of runs with a value, for each group."""
        return self._each(len)

    def mean(self) -> dict[Key, float | None]:
        """Return the mean of each group; None for a group without a value."""
        return self._each(mean_of)

    def median(self) -> dict[Key, float | None]:
        """Return the median of each group."""
        return self._each(lambda values: median_of(sorted(values)))

    def std(self) -> dict[Key, float | None]:
        """Return the standard deviation of each group; None for fewer than two values."""
        return self._each(spread_of)

    def min(self) -> dict[Key, float | None]:
        """Return the lowest value of each group."""
        return self._each(min)

    def max(self) -> dict[Key, float | None]:
        """Return the highest value of each group."""
        return self._each(max)

    def quantile(self, share: float) -> dict[Key, float | None]:
        """
        Return a quantile of each group: 0.25 is the lower quartile.

        Raises:
            ValueError: *share* is not from 0 to 1.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"quantile: {share!r} is not a share. Allowed: 0 to 1.")
        return self._each(lambda values: quantile_of(sorted(values), share))

    def to_rows(self) -> list[dict[str, Any]]:
        """Return a dict a group: the names that were grouped by, then `n`, `mean`, `std`, `median`, quartiles, ends."""
        return [
            {
                **dict(zip(self.groups.names, group.key, strict=True)),
                "runs": len(group.runs),
                **dict(zip(DESCRIBED, described(sorted(values)), strict=True)),
            }
            for group, values in zip(self.groups, self._values, strict=True)
        ]

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the rows as columns."""
        return columns_of(self.to_rows())

    def bands(self, *, center: Center = "mean", spread: Spread = "std", max_points: int = 500) -> list[Band]:
        """
        Return the curves of each group as one curve with a band, for plots; see `Band`.

        Args:
            center: `mean` or `median`.
            spread: `std` around the center, `quartiles`, or `minmax`.
            max_points: The most points of a band, at least 5.

        Raises:
            ValueError: One of the words is not known, or *max_points* is too small.
        """
        checked(max_points)
        return [
            band
            for group in self.groups
            for band in bands(group.key, self.name, group.runs, center=center, spread=spread, max_points=max_points)
        ]

    def _each(self, of: Callable[[list[float]], Any]) -> dict[Key, Any]:
        counted = of is len
        return self._by_key(of(values) if values or counted else None for values in self._values)

    def _by_key(self, results: Iterable[Any]) -> dict[Key, Any]:
        """Return *results* by the key of each group. Raises ValueError if two keys are equal, as True and 1 are."""
        found = dict(zip((group.key for group in self.groups), results, strict=True))
        if len(found) < len(self.groups):
            raise ValueError("True and 1 are groups of their own, but one key of a dict: use to_rows().")
        return found


def _in_key(value: Any) -> Any:
    """Return a value as a part of a group's key, which can be the key of a dict."""
    if isinstance(value, list):
        return tuple(map(_in_key, value))
    return json.dumps(spell_nonfinite(value), ensure_ascii=False) if isinstance(value, dict) else value


def _hashable(value: Any) -> Any:
    """Return a key that is equal for equal values, as in expressions: 1, 1.0 and "1", but not True."""
    if isinstance(value, (list, dict)):
        return repr(spell_nonfinite(value))
    number = number_of(value)
    if number is None:
        return value
    return isinstance(value, bool), number if number == number else "nan"
