"""The values in W&B's files: items of config, history, summary and statistics, and moments."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from refunc.values.jsonable import number
from refunc_commands.importing.source import is_moment
from refunc_commands.importing.wire import Message

# Fields of an item of config, history, summary, statistics.
_KEY, _NESTED_KEY, _VALUE_JSON = 1, 2, 16
# Fields of a history's item in newer files: its value by type.
_NONE, _BOOLEAN, _INTEGER, _NUMBER, _TEXT, _JSON = 3, 4, 5, 6, 7, 8
#: The keys that W&B adds to history and summary.
OWN = ("_step", "_runtime", "_timestamp", "_wandb")
#: The most levels of nested names, and the most that nesting may lengthen a record's names, relative to the record.
_MOST_LEVELS, _GROWTH, _LEAST_GROWTH = 100, 20, 1_000


def seconds(value: object) -> float:
    """Return a moment as seconds; 0 if it is not one."""
    return float(value) if is_moment(value) else 0.0  # type: ignore[arg-type]  # a number, as `is_moment` says


def numbers_in(values: Iterable[tuple[str, Any]], size: int) -> tuple[dict[str, int | float | None], dict[str, Any]]:
    """
    Return the numbers among *values*, nested ones as `outer.inner`, and all other values; without W&B's own keys.

    Args:
        size: The length of the source record: values whose flat names would be many times longer stay nested.
    """
    metrics: dict[str, int | float | None] = {}
    other: dict[str, Any] = {}
    spare = _LEAST_GROWTH + _GROWTH * size
    waiting = [(name, value) for name, value in values if name not in OWN][::-1]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict) and value and "_type" not in value and (len(name) + 1) * len(value) <= spare:
            spare -= (len(name) + 1) * len(value)
            waiting.extend((f"{name}.{inner}", item) for inner, item in reversed(value.items()))
        elif isinstance(value, (int, float)) and (plain := number(value)) is not None:
            metrics[name] = plain
        else:
            other[name] = value
    return metrics, other


#: The path of a value, and the value.
Items = Iterable[tuple[tuple[str, ...], Message]]


def items_of(message: Message, field: int = 1) -> Items:
    """Yield the updated items of config, history, summary or statistics."""
    for item in message.messages(field):
        yield tuple(item.texts(_NESTED_KEY) or [item.text(_KEY)]), item


def values_of(message: Message, *, field: int = 1) -> dict[str, Any]:
    """Return the values of the items, nested as they were given."""
    return nested(items_of(message, field))


def nested(items: Items) -> dict[str, Any]:
    """Return the values of *items*, nested by their paths. Raises ValueError if they are nested too deeply."""
    values: dict[str, Any] = {}
    for (*outer, last), item in items:
        if len(outer) > _MOST_LEVELS:
            raise ValueError("it is nested too deeply")
        target = values
        for name in outer:
            inner = target.setdefault(name, {})
            if not isinstance(inner, dict):
                inner = target[name] = {}
            target = inner
        target[last] = value_of(item)
    return values


def value_of(item: Message) -> Any:
    """Return the value of an item: as JSON, or in newer files by type."""
    if _VALUE_JSON in item or _JSON in item:
        return json.loads(item.text(_VALUE_JSON) or item.text(_JSON))
    if _INTEGER in item:
        return item.zigzag(_INTEGER)
    if _NUMBER in item:
        return item.double(_NUMBER)
    if _BOOLEAN in item:
        return bool(item.integer(_BOOLEAN))
    return item.text(_TEXT) if _TEXT in item else None


def moment_of(timestamp: Message) -> float:
    """Return a google.protobuf.Timestamp in seconds; 0 if it is missing."""
    return timestamp.integer(1) + timestamp.integer(2) / 1e9
