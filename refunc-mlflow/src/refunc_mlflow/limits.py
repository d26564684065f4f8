"""What MLflow takes: the limits of its validation (mlflow/utils/validation.py), and values made to fit them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from refunc.plugins import Metrics, Reject

MAX_BATCH_METRICS = 1_000
MAX_BATCH_TEXTS = 100
MAX_KEY = 250
MAX_PARAM = 6_000

_Item = TypeVar("_Item")
_NOT_ALLOWED = re.compile(r"[^\w\-. :/]")


def key_of(name: str) -> str:
    """
    Return *name* as a key that MLflow takes: itself, wherever it can be.

    Each character that is not allowed becomes `_40_`, its code point in hex, and so do the parts of a path that would
    lead elsewhere. A key that was changed ends in a hash of the name where it had to be cut, so two never become one.
    """
    key = _NOT_ALLOWED.sub(_spelled, name)
    if key in ("", ".", "..") or key.startswith("/") or key.endswith("/") or "//" in key:
        key = re.sub(r"^/|/$|(?<=/)/", _spelled, key) or "_empty_"
    key = "/".join("_2e_" * len(part) if part in (".", "..") else part for part in key.split("/"))
    if len(key) > MAX_KEY:
        import hashlib

        key = f"{key[: MAX_KEY - 9]}_{hashlib.sha256(name.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"
    return key


def _spelled(match: re.Match[str]) -> str:
    return f"_{ord(match[0]):x}_"


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested params as `{"optimizer.lr": "0.1"}`; lists and empty mappings as JSON."""
    found: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, dict) and value:
            found.update(flat(cast("dict[str, Any]", value), f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value if isinstance(value, str) else _text(value)
    return found


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)


def cut(value: str, limit: int = MAX_PARAM) -> str:
    """Return at most *limit* characters of *value*, saying so where it was cut."""
    return value if len(value) <= limit else f"{value[: limit - 1]}…"


def millis(seconds: float) -> int:
    """Return a time in the milliseconds that MLflow counts in; negative ones it refuses."""
    return max(0, int(seconds * 1000))


def step_of(record: Metrics) -> int:
    """
    Return the step of *record*, 0 where it has none.

    Raises:
        Reject: It is no whole number of 64 bits, which MLflow would store as 0 without a word.
    """
    step = record.step if record.step is not None else 0
    if step != int(step) or not -(2**63) <= step < 2**63:
        raise Reject(f"step {step!r} is no whole number of 64 bits")
    return int(step)


def in_batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Yield *items* in pieces of at most *size*."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
