"""Nested values one by one, under joined names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from refunc.values.twins import Twins

#: The most characters of a flattened name.
_LONGEST_NAME: Final = 300


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """
    Yield nested values one by one, named as `optimizer.lr`; lists and empty mappings in one piece.

    A name of more than 300 characters is cut in its middle. If two get the same name, as in
    `{"a.b": 1, "a": {"b": 2}}`, the more deeply nested one is `a.b_2`.
    """
    leaves = list(_leaves(values, "", 0))
    names = [name for name, _, _ in leaves]
    if len(set(names)) < len(names):
        taken: set[str] = set()
        twins = Twins()
        for at in sorted(range(len(leaves)), key=lambda at: leaves[at][1]):
            names[at] = twins.apart(names[at], taken.__contains__)
            taken.add(names[at])
    for name, (_, _, value) in zip(names, leaves, strict=True):
        yield f"{prefix}{name}", value


def _leaves(values: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, int, Any]]:
    """Yield the name of each value, its depth, and the value."""
    for name, value in values.items():
        whole = prefix + name
        if (
            len(whole) > _LONGEST_NAME
        ):  # each value's name has the names of its parents, so a long one would be repeated for each
            whole = f"{whole[: _LONGEST_NAME // 2]}…{whole[-_LONGEST_NAME // 2 :]}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, whole + ".", depth + 1)
        else:
            yield whole, depth, value
