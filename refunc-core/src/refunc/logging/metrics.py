"""The metrics of a call: numbers apart from other values, and nested values under the names that lead to them."""

from __future__ import annotations

from itertools import chain
from typing import Any

from refunc.logging.notices import warn_once
from refunc.values.jsonable import INT64_MAX, INT64_MIN, MAX_DEPTH, MAX_ITEMS, jsonable, number
from refunc.values.scalars import has, scalar
from refunc.values.shapes import Pairs, Unreadable, pairs_of
from refunc.values.texts import MAX_KEY, key_text, short_repr, text
from refunc.values.twins import Twins


def pairs_in(values: Any) -> Pairs | None:
    """Return the pairs of names and values in an argument, a mapping or an object; None where there are no names."""
    pairs = iter(values.items()) if type(values) is dict else pairs_of(values, is_given=True)
    if pairs is None and has(values, "items") and not isinstance(values, type):  # a Series whose labels are not text
        pairs = iter(values.items())
    return pairs


def split_metrics(metrics: Any, *, warn: bool = True) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """
    Return the numbers in *metrics*, and the other values as JSON data, or None if there are no others.

    A value that itself holds values by name is split into them, as in `train/loss`. A missing value is None among the
    others. An argument that is not a mapping, or one that raises, is kept as it is among the others, with one warning.
    """
    found = _Metrics(warn=warn)
    pairs = None
    try:
        pairs = pairs_in(metrics)
        if pairs is not None:
            found.take_all(pairs, is_unique=type(metrics) is dict)
    except Exception:  # one that raises
        pairs = pairs if found.plain or found.other else None
    if pairs is None:
        found.other["value"] = jsonable(metrics)
        if warn:
            warn_once(
                "metrics",
                "metrics: %s is not a mapping of names to numbers. It is kept in the run as it is, and not drawn. "
                'Write log_metrics({"loss": 0.5}) or log_metric("loss", 0.5).',
                short_repr(metrics),
            )
    return found.plain, found.other or None


class _Metrics:
    """The metrics of one call as they are sorted: numbers, and others."""

    def __init__(self, *, warn: bool) -> None:
        self.plain: dict[str, Any] = {}
        self.other: dict[str, Any] = {}
        self._warns = warn
        self._left = MAX_ITEMS
        self._twins = Twins()

    def take_all(self, pairs: Pairs, prefix: str = "", depth: int = MAX_DEPTH, *, is_unique: bool = False) -> None:
        """
        Take values by name. Values that hold others come last, so that names keep the form in which they were given.

        Args:
            is_unique: Whether no two of the names are the same text, nor are any taken already.
        """
        nested = []
        for name, value in pairs:
            if self._left <= 0:
                self.other["…"] = "[cut]"
                break
            self._left -= 1
            kind = type(value)
            if (kind is float or (kind is int and INT64_MIN <= value <= INT64_MAX)) and type(name) is str:
                self.plain[name if is_unique else self._apart(prefix + name)] = value
                continue
            is_unique = is_unique and type(name) is str  # `1` is the text `"1"` too
            name = self._apart(text(prefix + key_text(name), MAX_KEY))
            inner = self._take(name, value, depth)
            if inner is not None:
                nested.append((name, inner))
        for name, inner in nested:
            self.take_all(inner, f"{name}/", depth - 1)

    def _take(self, name: str, value: Any, depth: int) -> Pairs | None:
        """Take one value; return the values that it holds by name, if it holds any."""
        plain = number(value)
        if plain is not None:
            self.plain[name] = plain
            return None
        try:
            if isinstance(value, Unreadable):
                self._keep(name, value, "it cannot be read. The run keeps a text instead of a point.")
                return None
            if not isinstance(value, (str, bytes)):
                if value is None or scalar(value) is None:
                    self._keep(name, None, "the value is missing. The run keeps null instead of a point.")
                    return None
                inner = pairs_of(value) if depth > 0 else None
                first = next(inner, None) if inner is not None else None
                if inner is not None and first is not None:
                    return chain([first], inner)
        except Exception:  # a user's object may raise anything
            pass
        kind = type(value).__name__
        self._keep(name, value, f"{kind} is not a number. It is kept in the run as it is, and not drawn.")
        return None

    def _keep(self, name: str, value: Any, why: str) -> None:
        self.other[name] = jsonable(value)
        if self._warns:
            warn_once(f"metric {name}", "metric %r: %s", name, why)

    def _apart(self, name: str) -> str:
        """Return *name*, or a similar name if another metric of the call already has it."""
        if name not in self.plain and name not in self.other:
            return name
        found = self._twins.apart(name, lambda one: one in self.plain or one in self.other)
        if self._warns:
            warn_once(f"metrics called {name}", "metrics: two values are called %r; one is kept as %r.", name, found)
        return found


def meant_metrics(metrics: Any, value: Any) -> tuple[Any, Any]:
    """Return metrics and step of a call that may be `log_metrics("loss", 0.5)`, read as it is meant."""
    if not issubclass(type(metrics), str) or number(value) is None:
        return metrics, value
    name = key_text(metrics)
    warn_once(
        "metrics name",
        "log_metrics: %r is a name, not a mapping; %s is recorded as its value. "
        "Write log_metric(%r, %s) or log_metrics({%r: %s}).",
        *(name, short_repr(value)) * 3,
    )
    return {name: value}, None
