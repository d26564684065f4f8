"""What a call passed: the numbers apart from what is none, tags as text, and no field that says nothing."""

from __future__ import annotations

from typing import Any

from refunc.journal.values import INT64_MAX, INT64_MIN, jsonable, jsonable_mapping, key_text, number, text_of
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
