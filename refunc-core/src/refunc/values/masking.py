"""Masking the secrets in a record's fields, on the thread that writes it; `secrets` decides which texts are secrets."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from refunc.values import settings
from refunc.values.jsonable import INT64_MAX, INT64_MIN
from refunc.values.secrets import MASK, is_secret, is_secret_name, without_secrets
from refunc.values.secrets.names import SURE, kind_of
from refunc.values.secrets.text import SHORTEST
from refunc.values.secrets.values import is_maskable
from refunc.values.texts import MAX_KEY, MAX_REPR

_TEXTS: Final = ("message", "exception", "stack", "error", "target")
_PLAIN: Final = frozenset({int, float, bool, type(None)})
#: Sets with more names are not remembered: generated names must not fill memory.
_MOST_NAMES: Final = 100
_MOST_SETS: Final = 512
#: By the names of a set, the names of secrets among them; at half the cost of `lru_cache`.
_known_sets: dict[tuple[str, ...], frozenset[str]] = {}
_NESTED: Final = ("extra", "params", "tags", "other", "metadata", "artifacts")


def mask_record(fields: dict[str, Any]) -> None:
    """Mask the secrets in the *fields* of a record, which are JSON data; values are replaced, never modified."""
    for name in _TEXTS:
        value = fields.get(name)
        if value is not None and (clean := without_secrets(value)) is not value:
            fields[name] = clean
    for name in _NESTED:
        value = fields.get(name)
        if value and (clean := masked(value)) is not value:
            fields[name] = clean


def masked(value: Any) -> Any:
    """Return a JSON-able *value* with its secrets masked; the same object if there is none."""
    kind = type(value)
    if kind is str:
        return without_secrets(value) if len(value) >= SHORTEST else value
    if kind is dict:
        return _masked_names(value)
    if kind is list:
        return _masked_elements(value)
    if isinstance(value, Mapping):
        return _masked_names(dict(value))
    return value


def _masked_names(values: dict[str, Any]) -> dict[str, Any]:
    secret = _secret_among(values)
    if "kind" in values or "value" in values or "Value" in values:
        secret = secret | _named_by_another(values)
    changed = {}
    for name, item in values.items():
        kind = type(item)
        if secret and name in secret:
            clean = _under_secret_name(name, item) if is_secret_name(name) else _all_masked(item)
        elif kind in _PLAIN or (kind is str and len(item) < SHORTEST):
            continue
        else:
            clean = masked(item)
        if clean is not item:
            changed[name] = clean
    return {**values, **changed} if changed else values


def _masked_elements(values: list[Any]) -> list[Any]:
    cleaned = [masked(item) for item in values]
    for at, (flag, item) in enumerate(pairwise(values), 1):
        if type(flag) is str and flag.startswith("--") and _follows_flag(flag, item):
            cleaned[at] = MASK
    return cleaned if any(new is not old for new, old in zip(cleaned, values, strict=True)) else values


def _follows_flag(flag: str, item: Any) -> bool:
    """Whether *item* is the secret after a *flag* such as `--api-key`, as in a copy of `sys.argv`."""
    return type(item) is str and not item.startswith("-") and is_secret(flag, item)


def is_plain(values: dict[Any, Any], *, masks: bool) -> bool:
    """
    Whether *values* is flat, and `jsonable_mapping` would not change it.

    Args:
        masks: Whether `masked` must not change it either: checking both at once halves the cost.
    """
    for name, value in values.items():
        kind = type(value)
        if kind is str:
            if len(value) > MAX_REPR or (masks and len(value) >= SHORTEST and without_secrets(value) is not value):
                return False
        elif kind is int:
            if not INT64_MIN <= value <= INT64_MAX:
                return False
        elif kind not in _PLAIN:
            return False
        if type(name) is not str or len(name) > MAX_KEY:
            return False
    if not masks:
        return True
    if "value" in values or "Value" in values:
        return not (_secret_among(values) or _named_by_another(values))
    return not _secret_among(values)


def _secret_among(values: dict[str, Any]) -> frozenset[str]:
    """Return those names in *values* whose values are secrets."""
    names = tuple(values)
    known = _known_sets.get(names)
    if known is None:
        known = frozenset(filter(is_secret_name, names))
        if len(names) <= _MOST_NAMES:
            if len(_known_sets) >= _MOST_SETS:
                _known_sets.clear()
            _known_sets[names] = known
    return known


def _named_by_another(values: dict[str, Any]) -> frozenset[str]:
    """Return the fields of *values* that are secrets because of another field, as in `{"name": …, "value": …}`."""
    found = set()
    for value in ("value", "Value"):
        held = values.get(value)
        if type(held) is str and any(
            type(said := values.get(name)) is str and is_secret(said, held) for name in ("name", "key", "Name", "Key")
        ):
            found.add(value)
    if values.get("kind") == "Secret":  # of Kubernetes
        found.update(name for name in ("data", "stringData") if type(values.get(name)) is dict)
    return frozenset(found)


def _under_secret_name(name: str, value: Any) -> Any:
    """Return *value*, the value of a secret *name*, with all parts masked that can be the secret."""
    if type(value) is str:
        return MASK if is_secret(name, value) else masked(value)
    if kind_of(name) == SURE:
        return _all_masked(value)
    if type(value) is list:
        return [_under_secret_name(name, item) if type(item) is str else masked(item) for item in value]
    return masked(value)


def _all_masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _all_masked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_all_masked(item) for item in value]
    return MASK if is_maskable(value) else value


def masks_secrets() -> bool:
    """Whether secrets are masked: `REFUNC_REDACT` as 0, off, false or no switches that off."""
    return settings.REDACT.is_on()
