"""What a call passed, as a record holds it: numbers apart from what is none, all else as text; whatever it was."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from os import PathLike
from typing import Any

from refunc.journal.levels import METRIC, RESULT
from refunc.journal.values import (
    INT64_MAX,
    INT64_MIN,
    MAX_ITEMS,
    MAX_KEY,
    jsonable,
    jsonable_mapping,
    key_text,
    number,
    short_repr,
    text_of,
)
from refunc.logging.report import warn_once


def split_metrics(metrics: Any, *, warn: bool = True) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """
    Return the numbers of *metrics*, and what is no number as JSON can say it, or None.

    What is no mapping, or one that raises, is kept as it is among the others, with one warning.
    """
    plain: dict[str, Any] = {}
    other: dict[str, Any] | None = None
    try:
        for name, value in metrics.items():
            other = _keep(name, value, plain, other, warn=warn)
    except Exception:  # no mapping, or one that raises
        other = jsonable_mapping(metrics)
        if warn:
            warn_once("metrics", "metrics: %s is no mapping of names to numbers; it is kept as it is.", other)
        return {}, other
    return plain, other


def _keep(
    name: Any, value: Any, plain: dict[str, Any], other: dict[str, Any] | None, *, warn: bool = True
) -> dict[str, Any] | None:
    """Put *value* among the numbers, or among the others with one warning a name; return the others."""
    kind = type(value)
    if (kind is float or (kind is int and INT64_MIN <= value <= INT64_MAX)) and type(name) is str:
        plain[name] = value
        return other
    name = key_text(name)
    converted = number(value)
    if converted is not None:
        plain[name] = converted
        return other
    if warn:
        warn_once(
            f"metric {name}",
            "metric %r: %s is no number. It is kept in the run as it is, and drawn nowhere.",
            name,
            type(value).__name__,
        )
    return {**(other or {}), name: jsonable(value)}


def tag_texts(tags: Any) -> dict[str, str]:
    """Return *tags* with values as text."""
    return {name: text_of(value) for name, value in jsonable_mapping(tags).items()}


def known(**fields: Any) -> dict[str, Any]:
    """Return those *fields* that say something."""
    return {name: value for name, value in fields.items() if value is not None and value != {} and value != []}


def with_payload(
    level: int, payload: object, metrics: dict[str, Any], extra: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Add an ML level's payload to the metrics and the extra of its line, which win."""
    if level in (METRIC, RESULT):
        plain, other = split_metrics(payload, warn=False)  # in a payload text is no mistake
        return {**plain, **metrics}, {**(other or {}), **extra}
    return metrics, {**jsonable_mapping(payload), **extra}


def artifact_texts(artifacts: object) -> tuple[str, ...]:
    """Return what is to stand on a line for *artifacts*; one path or name by itself is taken for a list of it."""
    try:
        if not isinstance(artifacts, (str, bytes, PathLike)):
            several: Any = artifacts
            return tuple(text_of(artifact, MAX_KEY) for artifact in islice(several, MAX_ITEMS))
    except Exception:  # no list, or one whose own code raises
        pass
    return (text_of(artifacts, MAX_KEY),)


def merged_text(msg: object, args: tuple[object, ...]) -> str:
    """Return *msg* with its `%`-arguments; where they do not fit, both of them, for a line must not be lost."""
    try:
        message = str.__str__(msg if isinstance(msg, str) else str(msg))
        if not args:
            return message
        only = args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
        return message % only
    except Exception:  # a user's __str__ may raise what it likes
        return f"{short_repr(msg)} ({', '.join(map(short_repr, args))})" if args else text_of(msg)
