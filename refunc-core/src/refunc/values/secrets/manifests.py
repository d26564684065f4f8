"""Secrets of a Kubernetes manifest: everything in its `data`, under any name, and in base64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from refunc.values.secrets.patterns import Pattern, Span

_KIND: Final = Pattern(r"kind[\\\"']{0,8}[ \t]{0,4}:[ \t]{0,4}[\\\"']{0,8}Secret\b")
_DATA: Final = Pattern(r"(?i:data)[\\\"']{0,8}[ \t]{0,4}:[ \t]{0,4}(?:(?P<braces>\{)|\r?\n)")
_ENTRY: Final = Pattern(r"[ \t]{1,40}[\"']?[\w.-]{1,253}[\"']?[ \t]{0,4}:[ \t]{0,4}(?P<value>[^\s|>][^\n]{0,65536})")
_MOST: Final = 65_536


def in_manifests(text: str, low: bytes) -> Iterator[Span]:
    """Find the content of a secret's `data`, if *text* has such a manifest."""
    at = low.find(b"kind")
    while at >= 0 and _KIND.match(text, at) is None:
        yield at, at
        at = low.find(b"kind", at + 4)
    if at < 0:
        return
    at = low.find(b"data")
    while at >= 0:
        data = _DATA.match(text, at)
        end = at + 4
        if data is None:
            yield at, at
        elif data["braces"]:
            end = text.find("}", data.end(), data.end() + _MOST)
            end = end if end >= 0 else min(len(text), data.end() + _MOST)
            yield data.end(), end
        else:
            end = data.end()
            while (entry := _ENTRY.match(text, end)) is not None:
                yield entry.span("value")
                end = text.find("\n", entry.end()) + 1 or len(text)
        at = low.find(b"data", end)
