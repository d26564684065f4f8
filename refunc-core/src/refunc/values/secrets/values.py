"""The values that can be a secret under a secret's name: not a switch, a small number, `<pad>`, or a path."""

from __future__ import annotations

from typing import Any, Final

from refunc.values.secrets.names import LIKELY, NO, SURE, UNSURE, kind_of
from refunc.values.secrets.patterns import Pattern

MASK: Final = "***"

#: How many characters of a value are checked.
_MOST: Final = 400
#: `<pad>`, `[PAD]`, `{{password}}`, `${DB_PASSWORD}`, `%(token)s`, `os.environ[…]`, and values that are already masked.
_PLACEHOLDER: Final = Pattern(
    r"<[^<>]*>|\[[^\[\]'\"]*\]|\{[^{}'\"]*\}|\{\{[^{}]*\}\}|\$\{?\w+\}?|\$\{[\w:.,-]+\}|\$\{\{[^{}]*\}\}|%\(?\w+\)?s?"
    r"|(?:os\.)?(?:environ|getenv)\b.*|[*x•.…]+"
)
_PATH: Final = Pattern(
    r"(?:~|\.{1,2}|/[\w.-]+)/[\w./ -]*|/[a-z_.-]+|(?:~|\.{1,2})?/.*\.[a-z]{1,10}\d?|[A-Za-z]:[\\/].*"
)
#: The first characters of these, except for `C:`.
_BEGINNINGS: Final = frozenset("<[{$%oegx*•.…~/")
_ABSOLUTE: Final = Pattern(r"[/~\\]|[A-Za-z]:[\\/]")
_NUMBER: Final = Pattern(r"[-+]?[\d.,_]+(?:e[-+]?\d+)?%?")
#: Words that people write instead of a secret.
_WORDS: Final = frozenset(
    "auto automatic default defaults disabled dummy empty enabled env environ environment false hidden ignore ignored "
    "inherit invalid masked missing n/a nil none not_set null off optional placeholder redacted removed required "
    "secret token password string str text true undefined unknown unset yes".split()
)
#: Characters of a token; text with blanks, brackets or an address in it is not one.
_OF_A_TOKEN: Final = Pattern(r"[\w.~+/=:@%!$^&*#?,-]+")
_SIGNS: Final = Pattern(r".*?(?:\d|[a-z][A-Z]|[^\w.,;:!?'\"-])")
_PIECE: Final = Pattern(r"[A-Za-z0-9]+")
_HEX: Final = Pattern(r"[0-9a-f]+")
_HUMP: Final = Pattern(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def is_secret(name: str, value: Any) -> bool:
    """Whether *value*, the value of *name*, is a secret."""
    kind = kind_of(name)
    if kind == NO or not is_maskable(value):
        return False
    if not isinstance(value, str):
        return kind == SURE
    return looks_like_one(kind, value) and not is_folder(name, value)


def is_maskable(value: Any) -> bool:
    """Whether *value*, under a secret name, can be the secret."""
    if isinstance(value, str):
        if len(value) < 3 or value.lower() in _WORDS:
            return False
        if value[0] not in _BEGINNINGS and value[1] != ":":
            return True
        begin = value[:_MOST]
        return not (_PLACEHOLDER.fullmatch(begin) or _PATH.fullmatch(begin))
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) > 999


def looks_like_one(kind: int, value: str) -> bool:
    """Whether *value*, which can be a secret, is one under a name of this *kind*."""
    return kind == SURE or looks_random(value) or (kind == LIKELY and is_mixed(value))


def is_mixed(value: str) -> bool:
    """Whether *value* is a word in which letters and digits mix."""
    begin = value[:_MOST]
    if len(value) < 8 or "://" in value or not _OF_A_TOKEN.fullmatch(begin):
        return False
    return any(not piece.isalpha() and not piece.isdigit() for piece in _PIECE.findall(begin))


def is_number(value: str) -> bool:
    """Whether *value* is a number as people write it."""
    return len(value) <= _MOST and _NUMBER.fullmatch(value) is not None


def has_signs(value: str, shortest: int) -> bool:
    """
    Whether *value* has at least *shortest* characters, and a digit, a capital inside, or a sign that sentences do
    not have.
    """
    return len(value) >= shortest and not is_number(value) and _SIGNS.match(value) is not None


def looks_random(value: str) -> bool:
    """
    Whether *value* looks like generated text: `9vT8kq2L`, and not `reserved_token_250` or `ViT-B16`.

    Words and numbers are long runs of one kind of letters; in random text the kind changes at every second letter.
    """
    if len(value) < 8 or "://" in value:
        return False
    begin = value[:_MOST]
    if not _OF_A_TOKEN.fullmatch(begin) or is_number(begin):
        return False
    for piece in _PIECE.findall(begin):
        humps = len(_HUMP.findall(piece))
        if humps >= 3 and (len(piece) <= 3 * humps or (len(piece) >= 24 and _HEX.fullmatch(piece))):
            return True
    return False


def is_folder(name: str, value: str) -> bool:
    """Whether *value* is the folder that `PWD` or `OLDPWD` names: it may have any name."""
    return (
        name[-3:] in ("PWD", "pwd")
        and name.rpartition(".")[2].strip("-_").lower() in ("pwd", "oldpwd")
        and bool(_ABSOLUTE.match(value))
    )


def is_secret_of_environment(name: str, value: str) -> bool:
    """Whether the environment variable *name* holds a secret: every `…_TOKEN` does, of any program."""
    if len(value) < 8 or is_number(value):
        return False
    kind = kind_of(name)
    if kind == UNSURE and name.upper().endswith("_TOKEN"):
        kind = SURE
    if kind == UNSURE:
        return is_secret(name, value)
    return kind == SURE and is_maskable(value) and not is_folder(name, value)
