"""Secrets masked in a record's fields, on the thread that writes it; what a secret is, `secrets` says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from refunc.journal.secrets import MASK, is_maskable, is_secret_name, without_secrets
from refunc.journal.values import INT64_MAX, INT64_MIN, MAX_KEY, MAX_REPR

#: Text that is all of a value and shorter is no secret.
_SHORTEST: Final = 8
_TEXTS: Final = ("message", "exception", "error", "target")
_PLAIN: Final = frozenset({int, float, bool, type(None)})
#: Sets with more names are not remembered: whoever makes up thousands of names must not fill memory.
_MOST_NAMES: Final = 100
_MOST_SETS: Final = 512
#: By the names of a set, those among them under which a secret stands; at half the price of `lru_cache`.
_known_sets: dict[tuple[str, ...], frozenset[str]] = {}
_NESTED: Final = ("extra", "params", "tags", "other", "metadata", "artifacts")


def mask_record(fields: dict[str, Any]) -> None:
    """Mask the secrets in the *fields* of a record, which are JSON-able; values in them are replaced, never changed."""
    for name in _TEXTS:
        value = fields.get(name)
        if value is not None and (clean := without_secrets(value)) is not value:
            fields[name] = clean
    for name in _NESTED:
        value = fields.get(name)
        if value and (clean := masked(value)) is not value:
            fields[name] = clean


def masked(value: Any) -> Any:
    """Return a JSON-able *value* with the secrets in it masked; the same object where there is none."""
    kind = type(value)
    if kind is str:
        return without_secrets(value) if len(value) >= _SHORTEST else value
    if kind is dict:
        secret = _secret_among(value)
        changed = {}
        for name, item in value.items():
            kind = type(item)
            if secret and name in secret:
                clean = _under_secret_name(item)
            elif kind in _PLAIN or (kind is str and len(item) < _SHORTEST):
                continue
            else:
                clean = masked(item)
            if clean is not item:
                changed[name] = clean
        return {**value, **changed} if changed else value
    if kind is list:
        cleaned = [masked(item) for item in value]
        for at, (flag, item) in enumerate(pairwise(value), 1):
            if type(flag) is str and flag.startswith("--") and _is_behind_flag(flag, item):
                cleaned[at] = MASK
        return cleaned if any(new is not old for new, old in zip(cleaned, value, strict=True)) else value
    if isinstance(value, Mapping):
        return masked(dict(value))
    return value


def _is_behind_flag(flag: str, item: Any) -> bool:
    """Whether *item* is the secret behind a *flag* such as `--api-key`, as in a copy of `sys.argv`."""
    return type(item) is str and not item.startswith("-") and is_secret_name(flag) and is_maskable(item)


def is_plain(values: dict[Any, Any], *, masks: bool) -> bool:
    """
    Whether *values* is flat, and `jsonable_mapping` has nothing to change in it.

    Args:
        masks: Nor `masked`: one look at each value answers both, at half the price of finding nothing twice.
    """
    for name, value in values.items():
        kind = type(value)
        if kind is str:
            if len(value) > MAX_REPR or (masks and len(value) >= _SHORTEST and without_secrets(value) is not value):
                return False
        elif kind is int:
            if not INT64_MIN <= value <= INT64_MAX:
                return False
        elif kind not in _PLAIN:
            return False
        if type(name) is not str or len(name) > MAX_KEY:
            return False
    return not (masks and _secret_among(values))


def _secret_among(values: dict[str, Any]) -> frozenset[str]:
    """Return those names in *values* under which a secret stands."""
    names = tuple(values)
    known = _known_sets.get(names)
    if known is None:
        known = frozenset(filter(is_secret_name, names))
        if len(names) <= _MOST_NAMES:
            if len(_known_sets) >= _MOST_SETS:
                _known_sets.clear()
            _known_sets[names] = known
    return known


def _under_secret_name(value: Any) -> Any:
    """Return *value*, which stands under a secret name, with all in it masked that can be the secret."""
    if isinstance(value, Mapping):
        return {name: _under_secret_name(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_under_secret_name(item) for item in value]
    return MASK if is_maskable(value) else value


def is_wanted() -> bool:
    """Whether secrets are to be masked: `REFUNC_REDACT` says 0, off, false or no where they are not."""
    return os.environ.get("REFUNC_REDACT", "").strip().lower() not in ("0", "off", "false", "no")
