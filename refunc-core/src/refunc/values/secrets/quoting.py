"""The end of a value in running text: its quote, its bracket, a blank or the end of the line."""

from __future__ import annotations

from typing import Final

from refunc.values.secrets.patterns import Pattern, Span

_MOST_VALUE: Final = 8_192
#: After this many quotes in a quoted value, it is assumed to end with its line.
_MOST_ESCAPES: Final = 100
_OPENING: Final = Pattern(r"[bfru]{0,2}(?P<slashes>\\{0,7})(?P<quote>\"\"\"|'''|[\"'])")
PLAIN: Final = Pattern(r"(?!//)[^\s\"'&,;)}\]]{3,400}")
PLAIN_REST: Final = Pattern(r"[^\s\"'&,;)}\]]*")


def in_brackets(text: str, at: int) -> Span | None:
    """Return the content of the brackets that open at *at*, if that is quoted text on one line."""
    end = text.find("]" if text[at] == "[" else "}", at, at + _MOST_VALUE)
    inner = text[at + 1 : max(at + 1, end)]
    return (at + 1, end) if ('"' in inner or "'" in inner) and "\n" not in inner else None


def line_end(text: str, at: int, start: int) -> int:
    """Return the end of the line, or, if a quote comes before *start*, the closing quote."""
    end = text.find("\n", at, at + _MOST_VALUE)
    end = end if end >= 0 else min(len(text), at + _MOST_VALUE)
    before = text[max(0, start - 1) : start]
    if before in ("'", '"'):  # `curl -H "Authorization: …"`
        quote = text.find(before, at, end)
        return quote if quote >= 0 else end
    return end


def value_at(text: str, at: int) -> tuple[int, int, bool] | None:
    """Return the place of the value that begins at *at*, and whether it is an unquoted word."""
    opening = _OPENING.match(text, at) if text[at] in "\"'\\bfru" else None
    if opening is not None:
        end = _closing(text, opening.end(), opening["quote"], len(opening["slashes"]))
        if end is not None:
            return (opening.end(), end, False)
        at = opening.end()  # cut off: only its beginning is left
    plain = PLAIN.match(text, at)
    if plain is None:
        return None
    end = at + len(plain[0].rstrip("\\>" if plain[0][0] != "<" else "\\"))
    return (at, end, True)


def _closing(text: str, at: int, quote: str, slashes: int) -> int | None:
    """
    Return the end of the text that was opened by *quote* after *slashes* backslashes.

    In JSON in JSON, quotes have one backslash, and quotes in those three; each level doubles them.
    """
    limit = min(len(text), at + _MOST_VALUE)
    line = text.find("\n", at, limit)
    limit = line if line >= 0 else limit
    start = at
    for _ in range(_MOST_ESCAPES):
        end = text.find(quote, at, limit)
        if end < 0:
            return None
        before = text[max(start, end - 64) : end]
        count = len(before) - len(before.rstrip("\\"))
        if count <= slashes or (count - slashes) // (slashes + 1) % 2 == 0:
            return end - min(count, slashes)
        at = end + 1
    return limit
