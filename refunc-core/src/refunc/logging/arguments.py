"""The arguments of a call, in the form a record keeps, and calls that are written otherwise, read as they are meant."""

from __future__ import annotations

from itertools import islice
from os import PathLike
from typing import Any

from refunc.journal.kinds import COMPLETED
from refunc.logging.messages import merged_text
from refunc.logging.metrics import pairs_in, split_metrics
from refunc.logging.notices import warn_once
from refunc.values.jsonable import MAX_ITEMS, Faults, is_mapping, jsonable, jsonable_mapping, number
from refunc.values.levels import METRIC, RESULT
from refunc.values.texts import MAX_KEY, key_text, short_repr, text, text_of

#: Fields that a warning names.
_MOST_NAMED = 5


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
