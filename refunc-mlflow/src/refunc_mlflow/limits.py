"""Values within the limits of MLflow's validation (mlflow/utils/validation.py)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from refunc.plugins import Metrics, Reject

MAX_BATCH_METRICS = 1_000
MAX_BATCH_TEXTS = 100
MAX_PARAM = 6_000
MAX_TAG = 5_000
#: The most bytes of a request: MLflow documents a megabyte, and proxies pass that.
MAX_REQUEST = 900_000

_Item = TypeVar("_Item")


class Flat(NamedTuple):
    """Params under dotted names: their values as text, and the names that were changed because they were taken."""

    values: dict[str, str]
    renamed: dict[str, str]


def flat(params: Mapping[str, Any]) -> Flat:
    """
    Return nested params as `{"optimizer.lr": "0.1"}`; lists and empty mappings as JSON.

    If two get the same name, as in `{"a.b": 1, "a": {"b": 2}}`, the more deeply nested one is `a.b_2`.
    """
    found: dict[str, str] = {}
    renamed: dict[str, str] = {}
    numbers: dict[str, int] = {}
    nested: list[tuple[str, Mapping[str, Any]]] = [("", params)]
    while nested:  # level by level
        level = nested
        nested = []
        for prefix, values in level:
            for name, value in values.items():
                if isinstance(value, dict) and value:
                    nested.append((f"{prefix}{name}.", cast("dict[str, Any]", value)))
                    continue
                key = own = f"{prefix}{name}"
                while key in found:
                    numbers[own] = numbers.get(own, 1) + 1
                    key = f"{own}_{numbers[own]}"
                found[key] = value if isinstance(value, str) else _text(value)
                if key != own:
                    renamed[key] = own
    return Flat(found, renamed)


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)


def millis(seconds: float) -> int:
    """Return a time in MLflow's milliseconds; it refuses negative ones."""
    return max(0, int(seconds * 1000))


def step_of(record: Metrics) -> int:
    """
    Return the step of *record* as a whole number for MLflow; 0 if it has none.

    If an epoch is the step, this is the number of completed epochs. Rounding a step with a fraction would merge points:
    there it is the record's number, which increases.

    Raises:
        Reject: It does not fit in 64 bits, and MLflow would silently store it as 0.
    """
    step = record.step if record.step is not None else 0
    if not -(2**63) <= step < 2**63:
        raise Reject(f"step {step!r} does not fit in 64 bits")
    if has_fraction(record):
        return record.seq
    return math.floor(step)


def has_fraction(record: Metrics) -> bool:
    """Whether *record* was given a step that is not a whole number."""
    return record.step is not None and record.step % 1 != 0 and record.step != record.epoch


def in_batches(items: Sequence[_Item], most: int) -> Iterator[list[_Item]]:
    """Yield metrics, params or tags in pieces of at most *most*, each of which fits into a request."""
    batch: list[_Item] = []
    size = 0
    for item in items:
        its_size = _size(item)
        if batch and (len(batch) == most or size + its_size > MAX_REQUEST):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += its_size
    if batch:
        yield batch


def _size(item: Any) -> int:
    """Return the bytes of a metric, param or tag in a request: its texts and at most 150 more."""
    value = item.value if isinstance(item.value, str) else ""
    return len(json.dumps(item.key)) + len(json.dumps(value)) + 150
