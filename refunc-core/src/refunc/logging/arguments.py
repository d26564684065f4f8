"""The arguments of a call, in the form a record keeps: numbers apart from other values, and other values as text."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, islice
from os import PathLike
from typing import Any

from refunc.journal.kinds import COMPLETED
from refunc.logging.notices import warn_once
from refunc.values.jsonable import (
    INT64_MAX,
    INT64_MIN,
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_KEY,
    Faults,
    is_mapping,
    jsonable,
    jsonable_mapping,
    key_text,
    number,
    short_repr,
    text,
    text_of,
)
from refunc.values.levels import METRIC, RESULT
from refunc.values.scalars import has, scalar
from refunc.values.shapes import Pairs, Unreadable, pairs_of
from refunc.values.twins import Twins

#: Fields that a warning names.
_MOST_NAMED = 5


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


def meant_payload(level: int, msg: object, args: tuple[object, ...]) -> tuple[str, Any] | None:
    """
    Return the text and the payload of a line of an ML level; None where it has no payload.

    The payload is a mapping after the text. One number after a name, and a mapping without a text, are accepted
    instead, with one warning.
    """
    if args and is_mapping(args[0]):
        return merged_text(msg, args[1:]), args[0]
    method = {METRIC: "metric", RESULT: "result"}.get(level, "log")
    if not args:
        if not is_mapping(msg):
            return None
        try:
            name = ", ".join(key_text(key) for key, _ in islice(pairs_in(msg) or (), _MOST_NAMED))
        except Exception:  # one that raises
            name = ""
        _warn_of_payload(method, "a mapping was given instead of a text, and is used as the payload")
        return name or text_of(msg), msg
    value, *more = args
    if more or not isinstance(msg, str) or "%" in msg or number(value) is None:
        return None
    name = str.__str__(msg)
    said = f"{short_repr(name)} with {short_repr(value)} after it is read as a name and its value"
    _warn_of_payload(method, said)
    return name, {name: value}


def _warn_of_payload(method: str, said: str) -> None:
    """Warn once of a line whose payload was guessed."""
    warn_once(
        f"payload of {method}",
        '%s: %s. Write log_metrics({"loss": 0.5}), or a line with a payload: metric("validated", {"loss": 0.5}).',
        *(method, said),
    )


def meant_end(status: Any, final_metrics: Any) -> tuple[Any, Any]:
    """Return status and final metrics of a call that may have passed the metrics as the status."""
    if not is_mapping(status) or not (final_metrics is None or isinstance(final_metrics, str)):
        return status, final_metrics
    warn_once(
        "end metrics",
        "end: %s was given as the status, and is used as the final metrics. "
        "Write end_experiment(final_metrics={...}), or end_run(final_metrics={...}) of a tracker.",
        short_repr(status),
    )
    return COMPLETED if final_metrics is None else final_metrics, status


def named_values(option: str, values: Any, example: str) -> dict[str, Any]:
    """
    Return *values* by name, as a record holds them. A value without names is kept as `value`, with one warning.

    Fields that cannot be read are a warning too.

    Args:
        option: The user's name for this argument.
        example: The call that the warning shows.
    """
    faults: Faults = {}
    plain = jsonable(values, faults, is_given=True)
    if not isinstance(plain, dict):
        said = short_repr(values)
        warn_once(
            option, "%s: %s is not a mapping; it is kept under the name `value`. Write %s.", option, said, example
        )
        plain = {"value": plain}
    tell_unreadable(option, faults)
    return plain


def tell_unreadable(option: str, faults: Faults) -> None:
    """Warn of the fields of one call that could not be read."""
    if faults:
        named = [f"{name} ({why})" for name, why in islice(faults.items(), _MOST_NAMED)]
        if len(faults) > _MOST_NAMED:
            named.append(f"and {len(faults) - _MOST_NAMED} more")
        warn_once(
            f"unreadable {option} {', '.join(islice(faults, _MOST_NAMED))}",
            "%s: cannot read %s. The run keeps a text for each of them, and all other fields as they are.",
            *(option, ", ".join(named)),
        )


def tag_texts(tags: Any) -> dict[str, str]:
    """Return *tags* with values as text. A list of texts gives tags without values, with one warning."""
    names = _texts_in(tags)
    if names:
        said = short_repr(tags)
        warn_once(
            "tags",
            "tags: %s is not a mapping; each is kept as a tag without a value. Write tags={%r: ...}.",
            *(said, names[0]),
        )
        return dict.fromkeys(names, "")
    plain = tags if type(tags) is dict else named_values("tags", tags, 'tags={"phase": "train"}')
    return {key_text(name): text_of(value) for name, value in jsonable_mapping(plain).items()}


def _texts_in(tags: Any) -> list[str]:
    """Return the texts in *tags*, if it is a text or contains only texts."""
    if type(tags) is str:
        return [text(tags, MAX_KEY)]
    if type(tags) in (list, tuple, set, frozenset) and all(type(tag) is str for tag in tags):
        return [text(tag, MAX_KEY) for tag in (sorted(tags) if isinstance(tags, (set, frozenset)) else tags)]
    return []


def known(**fields: Any) -> dict[str, Any]:
    """Return those *fields* that have a value."""
    return {name: value for name, value in fields.items() if value is not None and value != {} and value != []}


def with_payload(
    level: int, payload: object, metrics: dict[str, Any], extra: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Add an ML level's payload to the metrics and the extra of its line, which win."""
    if level in (METRIC, RESULT):
        plain, other = split_metrics(payload, warn=False)  # text in a payload is not a mistake
        return {**plain, **metrics}, {**(other or {}), **extra}
    return metrics, {**named_values("payload", payload, '{"name": 1}'), **extra}


def as_given(*mappings: Any) -> dict[str, Any]:
    """Return the values of *mappings* whose keys are text, unchanged, as stdlib logging passes them to handlers."""
    given: dict[str, Any] = {}
    for mapping in mappings:
        try:
            if is_mapping(mapping):
                given.update({name: mapping[name] for name in mapping if type(name) is str})
        except Exception:  # a mapping whose own code raises
            pass
    return given


def artifact_texts(artifacts: object) -> tuple[str, ...]:
    """Return the texts for *artifacts* on a line; a single path or name counts as a list of one."""
    try:
        if not isinstance(artifacts, (str, bytes, PathLike)):
            several: Any = artifacts
            return tuple(text_of(artifact, MAX_KEY) for artifact in islice(several, MAX_ITEMS))
    except Exception:  # not a list, or one whose own code raises
        pass
    return (text_of(artifacts, MAX_KEY),)


def merged_text(msg: object, args: tuple[object, ...]) -> str:
    """Return *msg* with its `%`-arguments; if they do not fit, both side by side, so that no line is lost."""
    try:
        message = str.__str__(msg if isinstance(msg, str) else str(msg))
        return _formatted(message, args) if args else message
    except Exception:  # a user's __str__ may raise anything
        return f"{short_repr(msg)} ({', '.join(map(short_repr, args))})" if args else text_of(msg)


def merged_apart(msg: object, args: tuple[object, ...]) -> tuple[str, Any]:
    """
    Return the text of a line whose last argument is a mapping, and that mapping if the text does not use it.

    `"loss %(a)s", {"a": 1}` uses it, as in stdlib logging; `"loss", {"a": 1}` and `"epoch %d", 3, {"a": 1}` do not.
    """
    *others, fields = args
    try:
        message = str.__str__(msg if isinstance(msg, str) else str(msg))
        if not others and "%" not in message.replace("%%", ""):
            return (_formatted(message, args) if "%" in message and fields else message), fields
        try:
            return _formatted(message, args), None
        except Exception:  # they do not fit, or one raises
            return (_formatted(message, tuple(others)) if others else message), fields
    except Exception:  # the others do not fit either
        return merged_text(msg, args), None


def _formatted(message: str, args: tuple[object, ...]) -> str:
    only = args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
    return message % only
