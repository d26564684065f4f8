"""Secrets on the command lines of other tools, where only a flag shows that one follows: `curl -u ada:…`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from refunc.values.secrets.patterns import Pattern, Span
from refunc.values.secrets.values import has_signs, is_maskable, is_number

#: The text between a flag and its value, on a command line or in a list of arguments.
_GAP: Final = r"(?:=|[\"']?,?[ \t]{0,4})(?P<quote>[\"'])?"
_USER: Final = Pattern(rf"-(?:[uUa]|-(?:proxy-)?user|-auth){_GAP}[^\s\"':]{{0,100}}:(?P<value>[^\s\"']{{3,400}})")
_COOKIE: Final = Pattern(
    rf"-(?:b|-cookie){_GAP}[^\s\"'=]{{1,100}}=(?P<value>(?(quote)[^\"'\n]{{3,1000}}|[^\s\"']{{3,1000}}))"
)
_PASSWORD: Final = Pattern(rf"-[apk]{_GAP}(?P<value>[^\s\"'-][^\s\"']{{2,400}})")
_ATTACHED: Final = Pattern(r"-p(?P<value>[^\s\"'-][^\s\"']{2,400})")
_KEY: Final = Pattern(r"login(?:[ \t]--?[\w-]{1,30}){0,4}[ \t](?P<value>[\w-]{32,100})(?![\w.-])")

_Tools = tuple[tuple[bytes, Pattern], ...]
#: Tools, by a part of their name, and the pattern of a flag with a secret. These take flags with two hyphens too.
LONG_FLAGS: Final[_Tools] = ((b"curl", _USER), (b"curl", _COOKIE), (b"http ", _USER))
SHORT_FLAGS: Final[_Tools] = (
    *LONG_FLAGS,
    (b"sshpass", _PASSWORD),
    (b"redis-cli", _PASSWORD),
    (b"openssl", _PASSWORD),
    (b"login", _PASSWORD),
    (b"mysql", _ATTACHED),
    (b"mariadb", _ATTACHED),
)
#: How many characters of a command line are checked.
_MOST: Final = 4_096


def command_finders(text: str, low: bytes, tools: _Tools) -> list[Iterator[Span]]:
    """Return the finders of secrets on command lines of *tools* in *text*; none for most texts."""
    return [_of_tool(text, low, tool, flag) for tool, flag in tools if tool in low]


def _of_tool(text: str, low: bytes, tool: bytes, flag: Pattern) -> Iterator[Span]:
    at = low.find(tool)
    while at >= 0:
        line = low.find(b"\n", at, at + _MOST)
        end = line if line >= 0 else min(len(low), at + _MOST)
        place = at + len(tool) - 1
        while (place := low.find(b"-", place, end)) >= 0:
            found = flag.match(text, place) if text[place - 1] in " \t'\"" else None
            span = (place, place) if found is None else found.span("value")
            said = text[span[0] : span[1]]
            is_one = is_maskable(said) and (flag in (_USER, _COOKIE) or (not is_number(said) and has_signs(said, 6)))
            yield span if is_one else (place, place)
            place = max(place + 1, span[1] if is_one else 0)
        at = low.find(tool, max(end, at + len(tool)))


def after_login(text: str, low: bytes) -> Iterator[Span]:
    """Find a key after `wandb login` without a flag."""
    at = low.find(b"login ")
    while at >= 0:
        key = _KEY.match(text, at)
        yield (at, at) if key is None or not has_signs(key["value"], 32) else key.span("value")
        at = low.find(b"login ", at + 6 if key is None else key.end())
