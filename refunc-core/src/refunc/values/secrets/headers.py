"""The secret part of a header: all of a cookie, and the part of an authorization after its scheme."""

from __future__ import annotations

from typing import Final

from refunc.values.secrets.patterns import Pattern, Span
from refunc.values.secrets.quoting import PLAIN, line_end, value_at
from refunc.values.secrets.values import has_signs, is_maskable

#: `Basic`, `Token`, … in an Authorization header; after some of them, everything that follows is secret.
_SCHEME: Final = Pattern(
    r"(?i:(?P<all>digest|hawk|mac|oauth|aws4-hmac-sha256|aws|signature|ntlm|negotiate|shared-?key(?:-?lite)?"
    r"|shared-?access-?signature|googlelogin)"
    r"|(?P<known>basic|bearer|token|api-?key|key|ssws|splunk|genie-?key|dpop|jwt|bot|x?-?auth|vapid)|[a-z][a-z-]{1,30})"
    r":?(?:\\?[ \t]|%20){1,4}(?=\S)"
)
#: How many characters of a cookie's name are checked.
_MOST_NAME: Final = 100


def header_value(text: str, start: int, at: int, *, is_cookie: bool) -> Span | None:
    """Return the secret part of the header whose value begins at *at*; its name begins at *start*."""
    value = value_at(text, at)
    if value is None:
        return None
    begin, end, is_plain = value
    if is_plain:
        end = line_end(text, begin, start)
    if is_cookie:
        return (begin, end) if not is_plain or text.find("=", begin, min(end, begin + _MOST_NAME)) > 0 else None
    return _authorization(text, begin, end, is_plain=is_plain)


def _authorization(text: str, begin: int, end: int, *, is_plain: bool) -> Span | None:
    """Return the secret part of the header from *begin* to *end*, after its scheme."""
    scheme = _SCHEME.match(text, begin, end)
    is_known = scheme is not None and bool(scheme["all"] or scheme["known"])
    if scheme is not None and (is_known or is_plain):
        begin = scheme.end()
    if scheme is not None and is_known and (scheme["all"] or not is_plain):
        return begin, end
    if not is_plain:
        return (begin, end) if is_maskable(text[begin:end]) else None
    word = PLAIN.match(text, begin, end)
    if word is None or not is_maskable(word[0]) or (not is_known and not has_signs(word[0], 8)):
        return None
    return begin, word.end()
