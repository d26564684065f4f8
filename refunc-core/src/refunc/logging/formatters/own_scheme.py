"""A colour scheme of the user's: a mapping of levels and parts of a line to colours, based on one of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from refunc.logging.formatters.schemes import SCHEMES, Scheme
from refunc.logging.formatters.text import check_choice
from refunc.values.levels import LEVEL_NAMES
from refunc.values.near import nearest

_HUES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_WORDS: Mapping[str, str] = {
    **{name: str(30 + at) for at, name in enumerate(_HUES)},
    **{f"bright_{name}": str(90 + at) for at, name in enumerate(_HUES)},
    **{f"on_{name}": str(40 + at) for at, name in enumerate(_HUES)},
    **{f"on_bright_{name}": str(100 + at) for at, name in enumerate(_HUES)},
    "bold": "1",
    "dim": "2",
    "italic": "3",
    "underline": "4",
    "reverse": "7",
    "plain": "",
    "gray": "90",
    "grey": "90",
}
_RGB = re.compile(r"(on_)?#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})")
_PARAMETERS = re.compile(r"\d{1,3}(;\d{1,3})*")
_LEVELS = {name: number for number, name in LEVEL_NAMES.items()}
_PARTS = tuple(name for name in Scheme._fields if name != "levels")
_BASE = "base"


def scheme_of(given: Mapping[Any, str | int]) -> Scheme:
    """
    Return the scheme that *given* describes.

    Keys are levels, by name in any case or by number, parts of a line (`Scheme`'s fields), and `base`, the scheme for
    everything else, by default "default". Values are words, such as `"bold bright_red"` or `"on_blue"`, `"#ff8800"`, a
    number from 0 to 255 of the palette, or SGR parameters such as `"1;31"`.

    Raises:
        ValueError: An unknown key or colour; the text names it and the nearest one.
    """
    base = given.get(_BASE, "default")
    check_choice(f"color_scheme[{_BASE!r}]", base, tuple(SCHEMES), "a colour scheme")
    scheme = SCHEMES[str(base)]
    levels, parts = dict(scheme.levels), dict[str, str]()
    for key, color in given.items():
        if key == _BASE:
            continue
        number = _LEVELS.get(key.upper()) if isinstance(key, str) else key
        if type(number) is not bool and isinstance(number, int):
            levels[int(number)] = _parameters(key, color)
        elif key in _PARTS:
            parts[str(key)] = _parameters(key, color)
        else:
            raise _unknown("color_scheme", key, "a level or a part of a line", [*_LEVELS, *_PARTS, _BASE])
    return scheme._replace(levels=levels, **parts)


def _parameters(key: object, color: object) -> str:
    """Return the SGR parameters of *color*."""
    if type(color) is int and 0 <= color <= 255:
        return f"38;5;{color}"
    if isinstance(color, str):
        if _PARAMETERS.fullmatch(color):
            return color
        words = color.lower().replace("-", "_").split()
        found = [_word(word) for word in words]
        for word, parameters in zip(words, found, strict=True):
            if parameters is None:
                raise _unknown(f"color_scheme[{str(key)!r}]", word, "a colour", _WORDS)
        return ";".join(parameters for parameters in found if parameters)
    raise _unknown(f"color_scheme[{str(key)!r}]", color, "a colour", _WORDS)


def _word(word: str) -> str | None:
    rgb = _RGB.fullmatch(word)
    if rgb is None:
        return _WORDS.get(word)
    red, green, blue = (int(part, 16) for part in rgb.groups()[1:])
    return f"{48 if rgb[1] else 38};2;{red};{green};{blue}"


def _unknown(option: str, value: object, what: str, known: Iterable[str]) -> ValueError:
    names = list(known)
    by_lower = {name.lower(): name for name in names}
    near = nearest(str(value).lower()[:100], by_lower)
    hint = f" Did you mean {by_lower[near[0]]!r}?" if near else ""
    return ValueError(f"{option}: {value!r:.100} is not {what}.{hint} Allowed: {', '.join(names)}.")
