"""`wandb.summary`: the last values of the metrics, or those that `define_metric` chose, and assigned ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from time import time
from typing import TYPE_CHECKING, Any

from refunc.compat.wandb.definitions import Definitions

if TYPE_CHECKING:
    from refunc.runs import MetricSummary


class Summary:
    """
    The values that describe the run, by attribute and by item.

    A value that is assigned is a result of the run. Reading first writes all values that were logged so far; it keeps
    nothing in memory, so that `log` costs nothing for it. A statistic that `define_metric` chose, such as
    `summary["acc"]["max"]`, is read from the run's files.
    """

    def __init__(
        self,
        record: Callable[[str, Any], None],
        latest: Callable[[], Mapping[str, Any]],
        statistics: Callable[[], Mapping[str, MetricSummary]],
        definitions: Definitions,
        known: Mapping[str, Any],
    ) -> None:
        """
        Args:
            record: Records a result.
            latest: Returns the last value of each metric that this process logged.
            statistics: Returns the statistics of each metric.
            known: The summary of an earlier attempt of the run.
        """
        vars(self).update(
            _record=record,
            _latest=latest,
            _statistics=statistics,
            _definitions=definitions,
            _before=dict(known),
            _other={},
            _heads=set(),
            _start=time(),
        )

    def note(self, values: Mapping[str, Any], heads: Iterable[str] = ()) -> None:
        """Keep the last of *values* that are not numbers, and the names of nested ones."""
        vars(self)["_other"].update(values)
        vars(self)["_heads"].update(heads)

    def update(self, d: Mapping[str, Any]) -> None:
        """Assign several values; one that is a mapping gives a value for each of its names: `outer.inner`."""
        for name, value in dict(d).items():
            if isinstance(value, Mapping) and value:
                vars(self)["_heads"].add(name)
                self.update({f"{name}.{inner}": each for inner, each in value.items()})
                continue
            vars(self)["_record"](name, value)
            vars(self)["_other"].pop(name, None)
            if type(value) not in (int, float):
                vars(self)["_other"][name] = value

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or *default*."""
        try:
            return self[key]
        except KeyError:
            return default

    def keys(self) -> list[str]:
        """Return the names; of nested ones the outer name."""
        return list(self._nested())

    def values(self) -> list[Any]:
        """Return the values."""
        return list(self._nested().values())

    def items(self) -> list[tuple[str, Any]]:
        """Return names and values."""
        return list(self._nested().items())

    def _flat(self) -> dict[str, Any]:
        """Return all values by their full names; a statistic is `metric.max`."""
        own = vars(self)
        found = {**own["_before"], **own["_latest"](), **own["_other"]}
        if own["_definitions"]:
            statistics = None
            for name in list(found):
                words = own["_definitions"].words_of(name)
                if not words or words == ("copy",):
                    continue
                value = found.pop(name)
                for word in (word for word in words if word not in ("none", "copy")):
                    statistics = own["_statistics"]() if statistics is None and word != "last" else statistics
                    of_metric = (statistics or {}).get(name)
                    found[f"{name}.{word}"] = getattr(of_metric, word) if of_metric and word != "last" else value
        return {**found, "_runtime": time() - own["_start"]}

    def _nested(self) -> dict[str, Any]:
        heads, found = vars(self)["_heads"], {}
        for name, value in self._flat().items():
            head = next((head for head in heads if name.startswith(f"{head}.")), None)
            metric, _, word = name.rpartition(".")
            if head is None and word in vars(self)["_definitions"].words_of(metric):
                head = metric
            if head is None:
                found[name] = value
            else:
                found[head] = _put(found.get(head), name[len(head) + 1 :], value)
        return found

    def __getitem__(self, key: str) -> Any:
        flat = self._flat()
        if key in flat:
            return flat[key]
        inner: dict[str, Any] | None = None
        for name, value in flat.items():
            if name.startswith(f"{key}."):
                inner = _put(inner, name[len(key) + 1 :], value)
        if inner is None:
            raise KeyError(key)
        return inner

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        try:
            return self[key]
        except KeyError:
            raise AttributeError(f"summary has no {key!r}.") from None

    def __setattr__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key, self) is not self

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __repr__(self) -> str:
        return repr(self._nested())

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self._nested(),)


def _put(place: Any, name: str, value: Any) -> dict[str, Any]:
    """Return the nested mapping *place* with *value* at the dotted *name*."""
    found: dict[str, Any] = place if isinstance(place, dict) else {}
    outer, _, inner = name.partition(".")
    found[outer] = _put(found.get(outer), inner, value) if inner else value
    return found
