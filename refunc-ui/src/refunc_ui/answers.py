"""Answers of the server: JSON, columns of numbers, and errors as people read them."""

from __future__ import annotations

import gzip
import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs
import msgspec
from starlette.responses import Response

_encode = msgspec.json.Encoder().encode
#: Shorter answers are sent as they are. Of others a tenth of the bytes is left, for a millisecond of each 100,000.
_SMALL: Final = 1_000
_LEVEL: Final = 1


class AskedWronglyError(Exception):
    """A request asks for something that does not exist or is not allowed; `status` is that of HTTP."""

    def __init__(
        self, problem: str, status: int = 400, at: tuple[int, int] | None = None, name: str | None = None
    ) -> None:
        """
        Args:
            at: The place of the mistake in the parameter *name*.
        """
        super().__init__(problem)
        self.status = status
        self.at = at
        self.name = name


def spelled(value: Any) -> Any:
    """Return *value* with NaN and the infinities as the words nan, inf and -inf, which JSON can hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else word_of(value)
    if isinstance(value, dict):
        return {str(key): spelled(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [spelled(item) for item in value]
    if isinstance(value, str):
        return _encodable(value)
    return value


def word_of(value: float) -> str:
    """Return the word for a number that is not finite."""
    return "nan" if value != value else "inf" if value > 0 else "-inf"


def _encodable(text: str) -> str:
    """Return *text* without halves of characters, which UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def json_bytes(value: Any) -> bytes:
    """Return *value* as JSON."""
    return _encode(spelled(value))


@attrs.frozen
class Json:
    """An answer as JSON, compressed if the client takes that."""

    data: bytes
    is_packed: bool

    @classmethod
    def of(cls, value: Any, accepted: str) -> Json:
        """Return *value* as it is sent to a client with *accepted* in its header `accept-encoding`."""
        data = json_bytes(value)
        is_packed = len(data) > _SMALL and "gzip" in accepted
        return cls(gzip.compress(data, _LEVEL, mtime=0) if is_packed else data, is_packed)

    def response(self) -> Response:
        """Return it as an answer."""
        headers = {"vary": "accept-encoding", **({"content-encoding": "gzip"} if self.is_packed else {})}
        return Response(self.data, headers=headers, media_type="application/json")


def as_json(value: Any, status: int = 200) -> Response:
    """Return *value* as an answer."""
    return Response(json_bytes(value), status, media_type="application/json")


def error_of(problem: str, status: int, at: tuple[int, int] | None = None, name: str | None = None) -> Response:
    """Return an error as an answer; *at* is its place in the parameter *name*, which has an expression."""
    return as_json({"error": problem, "at": list(at) if at is not None else None, "in": name}, status)


def framed(header: dict[str, Any], columns: Iterable[Sequence[float]]) -> bytes:
    """
    Return a header and columns of float64 as one block of bytes.

    It begins with the length of the header as four bytes, little-endian; the header is filled up with spaces, so that
    the columns, one after the other, begin at a multiple of eight bytes.
    """
    head = json_bytes(header)
    head += b" " * (-(4 + len(head)) % 8)
    parts = [len(head).to_bytes(4, "little"), head]
    parts += [_as_float64(column) for column in columns]
    return b"".join(parts)


def _as_float64(column: Sequence[float]) -> bytes:
    values = column if isinstance(column, array) and column.typecode == "d" else array("d", column)
    if _BIG_ENDIAN:
        values = array("d", values)
        values.byteswap()
    return values.tobytes()


_BIG_ENDIAN = array("h", [1]).tobytes() == b"\0\1"
