"""PNG files of arrays, without an imaging library: an image is rows of bytes, compressed by zlib."""

from __future__ import annotations

import struct
import zlib
from typing import Any, Final

#: The colour types of PNG, by the number of channels.
_COLOURS: Final = {1: 0, 2: 4, 3: 2, 4: 6}


def png_of(array: Any) -> bytes:
    """
    Return *array*, of the shape height, width and perhaps up to four channels, as a PNG file.

    Numbers with a fraction are shades from 0 to 1, or from -1 to 1; others are shades from 0 to 255.

    Raises:
        ValueError: It has another shape.
    """
    height, width, channels = _shape_of(array)
    rows = _as_bytes(array).tobytes()
    length = width * channels
    lines = b"".join(b"\0" + rows[start : start + length] for start in range(0, height * length, length))
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    parts = [_chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(lines, 6)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _shape_of(array: Any) -> tuple[int, int, int]:
    shape = tuple(map(int, array.shape))
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3 or shape[2] not in _COLOURS or 0 in shape:
        raise ValueError(f"an array of the shape {tuple(array.shape)} is not an image")
    return shape


def _as_bytes(array: Any) -> Any:
    """Return *array* with one byte for each shade."""
    kind = array.dtype.kind
    if kind == "b":
        return array.astype("uint8") * 255
    if kind == "f":
        low, high = float(array.min()), float(array.max())
        if low >= 0 and high <= 1:
            array = array * 255
        elif low >= -1 and high <= 1:
            array = (array + 1) * 127.5
    elif array.dtype.itemsize == 1 and kind == "u":
        return array
    return array.clip(0, 255).astype("uint8")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
