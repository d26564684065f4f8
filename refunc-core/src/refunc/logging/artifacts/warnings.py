"""Warnings about artifacts that are not in the run as their user may expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refunc.logging.notices import warn_once
from refunc.values.quantities import bytes_of
from refunc.values.texts import MAX_KEY, short_repr, text_of

_MOST_NAMED = 5


def warn_not_stored(given: str, error: Exception) -> None:
    """Say why the artifact of the path *given* is not in the run at all."""
    message = "log_artifact: %s was not stored: %s. The run goes on."
    warn_once(f"artifact {given}", message, given or "''", text_of(error))


def warn_of_missing_files(given: str, fields: Mapping[str, Any], *, copy: object) -> None:
    """
    Name files of the artifact that were not copied, unless *copy* asked for that, or that were left out of a
    folder.
    """
    if copy is None and "stored" not in fields:
        warn_once(
            "artifact reference",
            "log_artifact: %s has %s bytes and was recorded as a reference, not copied. Pass copy=True to copy it.",
            given,
            f"{fields['size']:,}",
        )
    if copy is None and "references" in fields:
        warn_once(
            f"artifact references {given}",
            "log_artifact: %d files of %s, %s bytes, were recorded as references, not copied: %s. "
            "Pass copy=True to copy them.",
            fields["references"],
            given,
            f"{fields['reference_bytes']:,}",
            _named({name: f"{size:,}" for name, size in fields["largest_references"].items()}),
        )
    if "left_out" in fields:
        warn_once(
            f"artifact parts {given}",
            "log_artifact: %d entries of %s were left out: %s. Log those that you need one by one.",
            fields["left_out"],
            given,
            _named(fields["left_out_paths"]),
        )


def policy(copy: object) -> bool | float | None:
    """Return *copy* as `Artifacts.store` takes it: a text as bytes; None, with a warning, if it is not a size."""
    if copy is None or copy is True or copy is False:
        return copy
    try:
        bound = bytes_of(copy)
    except Exception:  # the object's own code, or an int that is too large for a float
        bound = None
    if bound is None or not bound >= 0:
        warn_once(
            "artifact bound",
            "log_artifact: copy=%s is not a size. Allowed: True, False, a number of bytes, or a text such as 2GB. "
            "Files up to 64 MB are copied.",
            short_repr(copy),
        )
        return None
    return bound


def _named(notes: Mapping[str, str]) -> str:
    named = [f"{text_of(name, MAX_KEY)} ({note})" for name, note in list(notes.items())[:_MOST_NAMED]]
    return ", ".join(named) + (", …" if len(notes) > len(named) else "")
