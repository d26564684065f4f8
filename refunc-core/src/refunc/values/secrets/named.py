"""Secrets after their names in running text, with any text between the two."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from refunc.values.secrets.headers import header_value
from refunc.values.secrets.names import LIKELY, NO, SURE, kind_of
from refunc.values.secrets.patterns import Pattern, Span
from refunc.values.secrets.quoting import PLAIN_REST, in_brackets, line_end, value_at
from refunc.values.secrets.values import (
    has_signs,
    is_folder,
    is_maskable,
    is_mixed,
    is_secret,
    looks_like_one,
    looks_random,
)

#: Each name of a secret has one of these in it.
MARKS: Final = tuple(b"key token pass secret pw cred auth cookie conn sig dsn".split())
#: Those that are looked for if a text has no sign: as in `using API key …`, which is long, and in any other.
MARKS_BEFORE_LONG: Final = tuple(b"key token pass".split())
MARKS_OF_PROSE: Final = tuple(b"pass".split())
_NAME: Final = b"abcdefghijklmnopqrstuvwxyz0123456789_.-"
_MOST_NAME: Final = 100
#: Characters by which a value is judged.
_MOST_LOOKED_AT: Final = 400
#: A quote as JSON, HTML and addresses spell it.
_SPELLED: Final = r"&quot;|&#3[49];|%2[27]|\\u002[27]"
#: The rest of a name, which is one run and passed in one go; `more` where a sign may follow. Most names end here.
_REST: Final = Pattern(
    r"[\w.-]*(?P<more>(?=[\\\"'\])]{0,8}(?:[ \t]{0,8}(?:[=:>&%{]|-{1,2}>|,[ \t]{0,8}b?[\\\"'])|\([\"']"
    r"|[ \t]{0,40}[|│]|[ \t]{1,40}(?:(?:is|was)[ \t:=]|[^\s\d]{0,40}\d)"
    r"|[,;\s]\s{0,40}[\\\"'{ ]{0,8}(?:[vV]alue|default))))?"
)
#: The text between a name and its value. A `sign` shows that a value follows: `=`, `: str =`, `->`, or that this is a
#: name and the next field its value; after it, YAML has its marks and JSON a line's end. If it is `weak`, as in a
#: sentence or a table, a digit has to be near.
_SIGN: Final = Pattern(
    rf"(?P<sign>(?:[\"'\])]|{_SPELLED}|\\){{0,8}}"
    r"(?:[ \t]{0,8}(?:={1,3}>?|:[ \t]{0,4}(?:str|bytes|string|Any|SecretStr|Optional\[\w{1,20}\])"
    r"(?:[ \t]?\|[ \t]?None)?[ \t]{0,4}=(?!=)|:=?|-{0,2}>|%3[ADad]|\((?=[\"']))"
    rf"|[,;]?\s{{0,40}}\{{?[ \t]{{0,8}}(?:{_SPELLED}|[\\\"']){{0,8}}(?:[vV]alue|default)"
    rf"(?:{_SPELLED}|[\\\"']){{0,8}}[ \t]{{0,8}}[:=]"
    r"|[ \t]{0,8},(?=[ \t]{0,8}b?\\{0,7}[\"']))"
    rf"(?:\\?[ \t]){{0,8}}(?:{_SPELLED}|[|>][-+]?\r?\n[ \t]{{1,24}}|\r?\n[ \t]{{0,24}}(?=\\{{0,7}}[\"'])"
    r"|!(?:vault|secret|!str|!binary)[ \t])?(?![ \t\r\n]|\Z))"
    r"|(?P<weak>(?:[ \t]{0,40}[|│][ \t]{0,4}|[ \t]{1,8}(?:is|was)(?:[ \t]?[:=])?[ \t]{1,4}|[ \t]{1,40})"
    r"(?=[^\s\d]{0,40}\d))"
)
_ELEMENT: Final = Pattern(r"[^\s<>]{3,400}(?=</)")
_FLAG_VALUE: Final = Pattern(r"[ \t]{1,8}(?P<plain>[^\s-]\S{2,999})")
#: A user's name and a password, as clients take both.
_PAIR: Final = Pattern(r"[(\[]?[ \t]{0,4}\\{0,7}[\"'][^\"'\n]{0,100}[\"'],[ \t]{0,4}(?=\\{0,7}[\"'])")
_PASSWORDS: Final = ("pass", "pwd", "secret", "cred")


class _Traits(NamedTuple):
    """The expectations about a value from its name."""

    kind: int
    is_password: bool
    is_header: bool
    is_cookie: bool
    is_connection: bool
    is_pair: bool


@lru_cache(maxsize=2048)
def traits_of(name: str) -> _Traits:
    """Return the expectations about the value of *name*."""
    low = name.lower()
    return _Traits(
        kind_of(name),
        any(word in low for word in _PASSWORDS),
        low.endswith(("authorization", "cookie")),
        low.endswith("cookie"),
        "conn" in low,
        low.endswith("auth"),
    )


def after_names(text: str, low: bytes, mark: bytes, seen: set[int]) -> Iterator[Span]:
    """Find the values in *text* after names that contain *mark*; *seen* are the ends of names."""
    has_flags = b"--" in low
    match, find, size = _REST.match, low.find, len(mark)
    at = find(mark)
    while at >= 0:
        rest = match(text, at + size)
        name_end = rest.end()
        span = None
        if (has_flags or rest.lastgroup) and name_end not in seen and name_end - at <= _MOST_NAME:
            seen.add(name_end)
            begin = _name_start(low, at)
            if rest.lastgroup:
                span = _after_name(text, begin, name_end)
            if has_flags and span is None and low.startswith(b"--", begin):
                span = _after_flag(text, begin, name_end)
        yield span or (at, at)
        at = find(mark, name_end if span is None else max(name_end, span[1]))


def _name_start(low: bytes, at: int) -> int:
    begin = low[max(0, at - _MOST_NAME) : at]
    start = at - len(begin) + len(begin.rstrip(_NAME))
    return min(at, start + 2) if low.startswith(b"%", start - 1) and start else start  # `%3BPWD%3D…`


def _after_name(text: str, start: int, name_end: int) -> Span | None:
    """Return the secret part of the value after the name from *start* to *name_end*."""
    name = text[start:name_end]
    traits = traits_of(name)
    if traits.kind == NO and name in ("key", "Key", "KEY") and text[max(0, start - 1) : start] == " ":
        name = f"{text[text.rfind(' ', max(0, start - 20), start - 1) + 1 : start - 1]}_key"  # `API key: …`
        traits = traits_of(name)
    sign = _SIGN.match(text, name_end) if traits.kind != NO else None
    if sign is None:
        return None
    if sign.lastgroup == "weak":
        return _after_weak_sign(text, start, name, traits, sign.end())
    return _after_sign(text, start, name, traits, name_end, sign.end())


def _after_sign(text: str, start: int, name: str, traits: _Traits, name_end: int, at: int) -> Span | None:
    """Return the secret part of the value that begins at *at*; its name is from *start* to *name_end*."""
    if traits.is_pair and (pair := _PAIR.match(text, at)) is not None:
        begin, end, _ = value_at(text, pair.end()) or (at, at, False)
        return (begin, end) if is_maskable(text[begin:end]) else None
    if text[name_end] == "(":
        return None
    if text[at] in "[{" and traits.kind == SURE:
        return in_brackets(text, at)
    if traits.is_header:
        return header_value(text, start, at, is_cookie=traits.is_cookie)
    if text[name_end] == ">":
        element = _ELEMENT.match(text, at) if text[max(0, start - 1) : start] == "<" else None
        return element.span() if element is not None and traits.kind == SURE else None
    return _at_sign(text, start, name, traits, name_end, at)


def _at_sign(text: str, start: int, name: str, traits: _Traits, name_end: int, at: int) -> Span | None:
    """Return the secret part of the value that begins at *at*, a text alone, by its name and its content."""
    value = value_at(text, at)
    if value is None:
        return None
    begin, end, is_plain = value
    said = text[begin : min(end, begin + _MOST_LOOKED_AT)]
    if not is_maskable(said) or not looks_like_one(traits.kind, said) or is_folder(name, said):
        return None
    is_sure = traits.is_password and not (is_plain and text[at - 1] in " \t")
    # `token: generated` and `password: required` are sentences; a secret has digits, or capitals inside.
    if (
        (is_plain or "," in text[name_end:at])
        and not (is_sure and is_plain)
        and not has_signs(said, 6 if traits.is_password else 8)
    ):
        return None
    if traits.is_connection and is_plain:
        return begin, line_end(text, end, start)
    return begin, PLAIN_REST.match(text, end).end() if is_plain and len(said) == _MOST_LOOKED_AT else end


def _after_weak_sign(text: str, start: int, name: str, traits: _Traits, at: int) -> Span | None:
    """Return the same if only a blank, a word or a column's edge comes before the value."""
    if traits.kind < LIKELY or traits.is_header:
        is_jar = traits.is_cookie and text[max(0, start - 1) : start] == "<"  # how http.cookiejar shows one
        return header_value(text, start, at, is_cookie=True) if is_jar else None
    value = value_at(text, at)
    if value is None:
        return None
    begin, end, _ = value
    said = text[begin : min(end, begin + _MOST_LOOKED_AT)]
    is_one = looks_random(said) or (traits.is_password and traits.kind == SURE and is_mixed(said))
    return (begin, end) if is_one and is_maskable(said) and not is_folder(name, said) else None


def _after_flag(text: str, start: int, end: int) -> Span | None:
    value = _FLAG_VALUE.match(text, end)
    if value is None or not is_secret(text[start:end], value["plain"]):
        return None
    return value.start("plain"), value.end("plain")
