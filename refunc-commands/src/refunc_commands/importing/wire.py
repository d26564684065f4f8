"""
The wire format of protocol buffers, read without their library or any schema: field numbers and raw values.

W&B's offline files and TensorBoard's event files consist of such messages. Their field numbers never change, while the
packages with the schemas come in versions that exclude each other, and may not be installed on the machine where old
runs are read. See https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Value = int | bytes

#: The highest field number that is kept; there may be many higher ones, and each would take a list.
_END = 1_000 << 3
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """Bytes that are not a valid message."""


class Message:
    """
    One message: the values of each field, in order. The caller knows the types of the fields.

    `size` is its length in bytes.
    """

    def __init__(self, data: bytes) -> None:
        """
        Raises:
            WireError: *data* is not a valid message.
        """
        self.size = len(data)
        self._values: dict[int, list[Value]] = {}
        at, end = 0, len(data)
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:  # a number of two bytes: rare, and this loop takes most of the time of reading a file
                tag, at = varint(data, at - 1)
            kind = tag & 7
            value: Value
            if kind == _VARINT:
                value, at = varint(data, at)
            else:
                if kind == _BYTES:
                    size, at = varint(data, at)
                elif kind == _FIXED64:
                    size = 8
                elif kind == _FIXED32:
                    size = 4
                else:
                    raise WireError(f"wire type {kind}")
                value = data[at : at + size]
                at += size
                if at > end:
                    raise WireError("a field is longer than its message")
            if tag < _END:
                self._values.setdefault(tag >> 3, []).append(value)

    def __contains__(self, number: int) -> bool:
        return number in self._values

    def update(self, other: Message) -> None:
        """Add the fields of *other*, as if its bytes were appended."""
        for number, values in other._values.items():
            self._values.setdefault(number, []).extend(values)

    def raw(self, number: int) -> list[Value]:
        """Return all raw values of a field."""
        return self._values.get(number, [])

    def bytes(self, number: int) -> bytes:
        """Return the last value of a bytes field; empty if it is missing."""
        value = self._last(number, b"")
        return value if isinstance(value, bytes) else b""

    def text(self, number: int) -> str:
        """Return the last value of a text field."""
        return self.bytes(number).decode("utf-8", "replace")

    def texts(self, number: int) -> list[str]:
        """Return all values of a repeated text field."""
        return [value.decode("utf-8", "replace") for value in self.raw(number) if isinstance(value, bytes)]

    def message(self, number: int) -> Message:
        """Return the last value of a field that is a message; an empty one if it is missing."""
        return Message(self.bytes(number))

    def messages(self, number: int) -> Iterator[Message]:
        """Yield all values of a repeated field of messages."""
        return (Message(value) for value in self.raw(number) if isinstance(value, bytes))

    def integer(self, number: int) -> int:
        """Return the last value of an int32, int64, bool or enum field; 0 if it is missing."""
        value = self._last(number, 0)
        if not isinstance(value, int):
            return 0
        return value - (1 << 64) if value >= 1 << 63 else value

    def zigzag(self, number: int) -> int:
        """Return the last value of a sint64 field."""
        value = self._last(number, 0)
        return (value >> 1) ^ -(value & 1) if isinstance(value, int) else 0

    def double(self, number: int) -> float:
        """Return the last value of a double field."""
        return _unpacked("<d", self.bytes(number))

    def float(self, number: int) -> float:
        """Return the last value of a float field."""
        return _unpacked("<f", self.bytes(number))

    def _last(self, number: int, default: Value) -> Value:
        values = self._values.get(number)
        return values[-1] if values else default


def _unpacked(form: str, data: bytes) -> float:
    if not data:
        return 0.0
    if len(data) != struct.calcsize(form):
        raise WireError(f"{len(data)} bytes for a number")
    (number,) = struct.unpack(form, data)
    return float(number)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """
    Return the number at *at*, and the offset after it.

    Raises:
        WireError: There is no number, or it has more than 64 bits.
    """
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    number = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise WireError("a number without an end")
