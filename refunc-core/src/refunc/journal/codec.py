"""
One record as one line of JSON, and back.

Every line is a JSON object in ASCII that ends in its own checksum: `,"crc":"9a0b1c2d"}`, the CRC-32 (IEEE, as in
zlib) of the line without that member. So a line is plain JSON to any tool, and a torn or damaged line is detected.
ASCII, because a C1 control or a bidi override in a message would otherwise reach a terminal through `cat`.

JSON has no NaN. A non-finite number is written as `null`, and the member `nonfinite` gives its value by JSON Pointer
(RFC 6901): `{"metrics": {"loss": null}, "nonfinite": {"/metrics/loss": "NaN"}}`, which any reader accepts.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, repeat
from typing import Any

import msgspec

from refunc.values.jsonable import nonfinite_name

#: A longer line is not one of our records. DuckDB takes no JSON object above 16 MiB either.
MAX_LINE_BYTES = 16_000_000
#: Values in a line, of which each takes a reader up to a hundred bytes where the line has two, as in `[],[],[]`.
MAX_VALUES = 60_000
#: Levels that a line may be nested: more than a writer makes, and few enough for code that walks through it.
MAX_LEVELS = 100

_fast = msgspec.json.Encoder().encode
_fast_lines = msgspec.json.Encoder().encode_lines
_plain = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode
_decode = msgspec.json.Decoder().decode

CRC_MARK = b',"crc":"'
CRC_LENGTH = len(CRC_MARK) + 8 + len(b'"}')
NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode_line(row: Any) -> bytes:
    """Return *row*, a JSON-able dict (`values.jsonable`) or a struct that encodes to one, as a sealed line."""
    try:
        body = _fast(row)
    except Exception:  # a lone surrogate, which no encoding can represent
        return seal(_careful_body(row))
    if b"null" in body or not body.isascii():
        body = _careful_body(row)
    return seal(body)


def encode_lines(rows: list[Any]) -> bytes:
    """
    Return *rows*, each as for `encode_line`, as sealed lines.

    Encoding and sealing many at once costs a third of doing it one by one.

    Raises:
        ValueError: A line is longer, or has more values, than readers take.
        Exception: Any other reason why a row cannot be encoded.
    """
    try:
        text = _fast_lines(rows)
    except Exception:  # a lone surrogate, which no encoding can represent
        bodies = list(map(_careful_body, rows))
    else:
        bodies = text.split(b"\n")[:-1]
        if b"null" in text or not text.isascii():
            bodies = [
                _careful_body(row) if b"null" in body or not body.isascii() else body
                for row, body in zip(rows, bodies, strict=True)
            ]
    longest = max(map(len, bodies)) + CRC_LENGTH
    if longest > MAX_LINE_BYTES:
        raise ValueError(f"its line has {longest:,} bytes")
    if longest > MAX_VALUES and any(map(has_too_many_values, bodies)):
        raise ValueError(f"its line has more than {MAX_VALUES:,} values")
    return _sealed(bodies)


def _sealed(bodies: list[bytes]) -> bytes:
    """Return the JSON objects *bodies* as lines, each with its checksum: `seal` for many."""
    checksums = struct.pack(f">{len(bodies)}I", *map(zlib.crc32, bodies)).hex("\n", 4).encode().split(b"\n")
    open_bodies = [body[:-1] for body in bodies]
    parts = zip(open_bodies, repeat(CRC_MARK), checksums, repeat(b'"}\n'), strict=False)
    return b"".join(chain.from_iterable(parts))


def seal(body: bytes) -> bytes:
    """Return the JSON object *body* with its checksum as the last member, and a newline."""
    return b'%b,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body))


def decode_line(line: bytes) -> dict[str, Any] | None:
    """Return the record in *line* (no newline), without its checksum; None if the line is torn or damaged."""
    if len(line) <= CRC_LENGTH or line[-2:] != b'"}' or line[-CRC_LENGTH:-10] != CRC_MARK:
        return None
    body = line[:-CRC_LENGTH] + b"}"
    try:
        if line[-10:-2] != b"%08x" % zlib.crc32(body):
            return None
        if len(body) > MAX_VALUES and has_too_many_values(
            body
        ):  # each takes at least a byte, so most lines need no check
            return None
        fields = _decode(body)
    except msgspec.DecodeError:
        fields = _without_large_numbers(body)
    except (ValueError, RecursionError):
        return None
    # A text is not nested deeper than it has brackets, and very few have so many that they must be followed.
    if not isinstance(fields, dict) or (body.count(b"[") + body.count(b"{") > MAX_LEVELS and _is_too_deep(fields)):
        return None
    nonfinite = fields.pop("nonfinite", None)
    if isinstance(nonfinite, dict):
        restore_nonfinite(fields, nonfinite)
    return fields


def _without_large_numbers(body: bytes) -> Any:
    """
    Return the value of *body* with None for numbers that no float holds, such as 1e400; None if it is damaged.

    Another writer may have put one into a member that nothing reads, where it must not cost the line: the decoder of
    many lines passes over such members. A line without one has another fault, which `json` may overlook.
    """
    large: list[str] = []

    def number(text: str) -> int | float | None:
        value = float(text)
        if math.isinf(value):
            large.append(text)
            return None
        return int(text) if text.lstrip("-").isdigit() else value

    try:
        known = json.loads(body.decode(), parse_float=number, parse_int=number, parse_constant=_refuse)
        return _decode(json.dumps(known)) if large else None
    except (ValueError, RecursionError, msgspec.DecodeError):
        return None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def has_too_many_values(body: bytes) -> bool:
    """Whether the JSON text *body* has more than `MAX_VALUES`; decided by its commas and brackets, before decoding."""
    if _marks(body, 0, len(body)) <= MAX_VALUES:
        return False
    # Those inside of texts do not count. Without escapes a text ends at the next quote.
    body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    count = at = 0
    for _ in range(2 * MAX_VALUES):  # a value is one text at most, and its name another
        quote = body.find(b'"', at)
        count += _marks(body, at, quote if quote >= 0 else len(body))
        at = body.find(b'"', quote + 1) + 1
        if quote < 0 or not at or count > MAX_VALUES:
            return count > MAX_VALUES
    return True


def _marks(body: bytes, begin: int, end: int) -> int:
    return sum(body.count(mark, begin, end) for mark in (b",", b"[", b"{"))


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_LEVELS):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _careful_body(row: Any) -> bytes:
    return _encode_carefully(row if isinstance(row, dict) else msgspec.to_builtins(row))


def _encode_carefully(fields: dict[str, Any]) -> bytes:
    return _plain(with_nonfinite_apart(fields, encodable)).encode("ascii")


def with_nonfinite_apart(fields: dict[str, Any], spell: Callable[[str], str] = str) -> dict[str, Any]:
    """
    Return a copy of *fields* with None for NaN and the infinities, and a member `nonfinite` with their values.

    Args:
        spell: Converts each text in it.
    """
    nonfinite: dict[str, str] = {}
    finite: dict[str, Any] = _finite(fields, "", nonfinite, spell)
    if nonfinite:
        finite["nonfinite"] = nonfinite
    return finite


def _finite(value: Any, pointer: str, nonfinite: dict[str, str], spell: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {
            spell(key): _finite(item, f"{pointer}/{_escape(spell(key))}", nonfinite, spell)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_finite(item, f"{pointer}/{index}", nonfinite, spell) for index, item in enumerate(value)]
    if isinstance(value, str):
        return spell(value)
    if isinstance(value, float) and not math.isfinite(value):
        nonfinite[pointer] = nonfinite_name(value)
        return None
    return value


def encodable(value: str) -> str:
    """Return *value* with each lone surrogate spelled out: strict readers (DuckDB, polars) refuse its JSON escape."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


def restore_nonfinite(fields: dict[str, Any], nonfinite: Mapping[str, Any]) -> None:
    """Put back into *fields* the values that `with_nonfinite_apart` has taken out."""
    for pointer, name in nonfinite.items():
        target: Any = fields
        try:
            *path, last = _unescape(pointer)
            for step in path:
                target = target[int(step)] if isinstance(target, list) else target[step]
            key: Any = int(last) if isinstance(target, list) else last
            if target[key] is None:
                target[key] = NONFINITE[name]
        except (KeyError, IndexError, TypeError, ValueError):
            continue  # a pointer without a target, or an unknown word: the value stays as it is


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _unescape(pointer: str) -> Iterator[str]:
    return (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
