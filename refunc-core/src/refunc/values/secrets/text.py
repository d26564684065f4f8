"""Secrets in running text: after their names, by their form, and the environment's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from refunc.values.secrets.environment import environment
from refunc.values.secrets.forms import LONG, form_finders
from refunc.values.secrets.given import given
from refunc.values.secrets.manifests import in_manifests
from refunc.values.secrets.named import MARKS, MARKS_BEFORE_LONG, MARKS_OF_PROSE, after_names
from refunc.values.secrets.patterns import Span
from refunc.values.secrets.values import MASK

#: A shorter text cannot contain a secret.
SHORTEST: Final = 8
_LONG_TEXT: Final = 4_096
_CUT: Final = "… [cut: {} characters, with very many that may be secrets]"
#: The beginning of a frame in a traceback and in a stack.
_FRAME: Final = "\n  File "


def without_secrets(text: str, most_places: int | None = None) -> str:
    """
    Return *text* with everything masked that looks like a secret; the same object if nothing does. Never raises.

    Args:
        most_places: How many places are checked if the caller cannot wait. A text with many more is cut at the first
            place that was not checked, with a mark.
    """
    if len(text) < SHORTEST:
        return text
    known = (*environment.values(), *given.values())
    if most_places is None and len(text) > _LONG_TEXT:
        return _without_secrets_of(text, known)
    return _masked(text, known, most_places)


def trace_without_secrets(trace: str, most_places: int | None = None) -> str:
    """
    Return a traceback or a stack masked, as `without_secrets` does; if it is cut, its end is kept.

    A frame is code, in which names like `token` and `hook` are many places that may be secrets; the last frames, and
    the error after them, are needed most. It is cut between two frames, so that no secret is halved.
    """
    clean = without_secrets(trace, most_places)
    if most_places is None or not clean.endswith(_CUT.format(len(trace))):
        return clean
    for share in (2, 4, 8, 16, 32, 64):
        at = trace.find(_FRAME, len(trace) - len(trace) // share)
        if at < 0:
            break
        end = without_secrets(trace[at:], most_places)
        if not end.endswith(_CUT.format(len(trace) - at)):
            return f"{trace.partition(chr(10))[0]}\n  {_CUT.format(at)}{end}"
    return clean


@lru_cache(maxsize=4)
def _without_secrets_of(text: str, known: tuple[str, ...]) -> str:
    """Return a long *text* masked: the journal and the log files ask for the same text in turn."""
    return _masked(text, known, None)


def _masked(text: str, known: tuple[str, ...], most_places: int | None) -> str:
    found: list[Span] = []
    finders = _finders(text)
    if finders:
        if most_places is not None:
            text = _checked(text, finders, most_places, found)
        else:
            for finder in finders:
                found += [span for span in finder if span[0] < span[1]]
    for value in known:
        at = text.find(value)
        while at >= 0:
            found.append((at, at + len(value)))
            at = text.find(value, at + len(value))
    return _with_masks(text, found) if found else text


def _checked(text: str, finders: list[Iterator[Span]], most: int, found: list[Span]) -> str:
    """Return *text* up to the place that the *finders* reached after about *most* places; put these into *found*."""
    cut, room = len(text), most
    for finder in finders:
        left = max(room, most // 10)  # each has to reach the same place
        for span in finder:
            if span[0] >= cut:
                break
            if left == 0:
                cut = span[0]
                break
            found.append(span)
            left -= 1
            room -= 1
    if cut == len(text):
        return text
    found[:] = [(start, min(end, cut)) for start, end in found if start < cut]
    return text[:cut] + _CUT.format(len(text))


def _finders(text: str) -> list[Iterator[Span]]:
    """
    Return the finders of secrets in *text*; none for most texts.

    Each gives a place that it has looked at, empty where no secret stands there.
    """
    is_long = len(text) >= LONG
    has_signs = (
        "=" in text or ":" in text or "--" in text or ("," in text and ("'," in text or '",' in text)) or "</" in text
    )
    if not (is_long or has_signs):
        return []
    raw = text.encode("latin-1", "replace")  # a byte a character, so that places in it are places in the text
    low = raw.lower()
    has_hook = "/" in text and b"hook" in low
    finders, has_long_run = form_finders(text, raw, low, has_hook=has_hook) if is_long else ([], False)
    seen: set[int] = set()
    for mark in MARKS if has_signs else MARKS_BEFORE_LONG if has_long_run else MARKS_OF_PROSE:
        if mark in low:
            finders.append(after_names(text, low, mark, seen))
            if mark == b"secret" and b"kind" in low:
                finders.append(in_manifests(text, low))
    if has_hook and has_signs:
        finders.append(after_names(text, low, b"hook", seen))
    return finders


def _with_masks(text: str, found: list[Span]) -> str:
    """Return *text* with a mask for each of the spans in *found*, and one for those that overlap."""
    parts: list[str] = []
    done = 0
    for start, end in sorted(found):
        if start < end:  # otherwise it was only checked
            if start >= done:
                parts += [text[done:start], MASK]
            done = max(done, end)
    return "".join((*parts, text[done:])) if parts else text
