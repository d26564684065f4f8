"""
Text made safe for a terminal: users' texts and servers' answers may contain characters that control it.

It is also used for files that are read with `cat` and `tail`, if their text is not the user's own.
"""

from __future__ import annotations

import re
from functools import cache

#: The indent of a message's second and later lines. Log lines never start with a space, so they cannot be forged.
CONTINUATION = "    "


def printable(text: str, *, indent: str = CONTINUATION) -> str:
    r"""
    Return *text* with every character that could control a terminal as a visible escape such as `\x1b`.

    These are the control characters (C0, DEL, C1), the bidirectional controls, the line separators U+2028 and
    U+2029, and lone surrogates. Tabs stay; newlines stay too, and the lines after the first get *indent* in front.
    """
    if str.isprintable(text):
        return text
    text = _unsafe().sub(_escape, text)
    return text.replace("\n", "\n" + indent) if indent else text


def printable_line(text: str) -> str:
    r"""
    Return *text* as `printable` does, on one line: newlines become a visible `
    `.
    """
    if str.isprintable(text):
        return text
    return _unsafe().sub(_escape, text).replace("\n", "\\n")


@cache
def _unsafe() -> re.Pattern[str]:
    # Compiled on first use: most processes never print such a character, or a newline.
    ranges = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    return re.compile(f"[{ranges}]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x0D:
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
