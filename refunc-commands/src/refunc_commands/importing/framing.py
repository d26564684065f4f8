"""The frames and checksums of messages in W&B's and TensorBoard's files; damaged ones are skipped and reported."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

from refunc_commands.importing.files import SourceFiles

Tell = Callable[[str], None]

_BLOCK_BYTES = 1 << 15
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
#: A longer event counts as damaged, so that a crafted length cannot fill the memory.
_LONGEST_EVENT = 1 << 30


def read_wandb(files: SourceFiles, path: Path, tell: Tell) -> Iterator[bytes]:
    """
    Yield the records of a `.wandb` file: LevelDB's log format, with zlib's CRC-32 and a header of seven bytes.

    Blocks of 32 KiB hold chunks: a checksum (4 bytes) of type and data, the length (2), the type (1), the data. A chunk
    that fails its checksum costs the rest of its block.

    Args:
        tell: Called with a text for each damaged or torn part.

    Raises:
        SourceError: It is not a file of the source.
        OSError: It cannot be read.
        ValueError: It is not a `.wandb` file.
    """
    with files.open(path) as file:
        header = file.read(7)
        if header[:4] != b":W&B":
            raise ValueError("it does not begin like a file of W&B")
        parts: list[bytes] | None = []
        block = file.read(_BLOCK_BYTES - len(header))
        while block:
            following = file.read(_BLOCK_BYTES)
            for kind, data in _chunks(block, tell, is_last=not following):
                if kind in (_WHOLE, _FIRST):
                    if parts:
                        tell("a record has no end")
                    parts = []
                if kind == 0 or parts is None:  # after damage: the pieces of a record whose beginning is lost
                    parts = None
                    continue
                parts.append(data)
                if kind in (_WHOLE, _LAST):
                    yield b"".join(parts)
                    parts = []
            block = following
        if parts:
            tell("the file ends in the middle of a record")


def _chunks(block: bytes, tell: Tell, *, is_last: bool) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the data of each chunk in *block*; type 0 where the rest is lost."""
    at = 0
    while len(block) - at >= 7:
        checksum, length, kind = struct.unpack_from("<IHB", block, at)
        if not checksum and not length and not kind:  # the padding of a block, or of a file that was made longer
            return
        data = block[at + 7 : at + 7 + length]
        if len(data) < length and is_last:
            tell("the file ends in the middle of a record")
            yield 0, b""
            return
        if zlib.crc32(data, zlib.crc32(block[at + 6 : at + 7])) != checksum or not _WHOLE <= kind <= _LAST:
            tell("a block fails its checksum")
            yield 0, b""
            return
        yield kind, data
        at += 7 + length
    if is_last and any(block[at:]):
        tell("the file ends in the middle of a record")


def read_events(files: SourceFiles, path: Path, tell: Tell, *, check: bool = True) -> Iterator[bytes]:
    """
    Yield the events of a TensorBoard file: TFRecords, each a length, its checksum, the data, their checksum.

    An event that fails its checksum is skipped; if a length does, the rest of the file is lost.

    Args:
        tell: Called with a text for each damaged or torn part.
        check: Verify the checksums of events, which takes longer than the rest.

    Raises:
        SourceError: It is not a file of the source.
        OSError: It cannot be read.
    """
    with files.open(path) as file:
        size = os.fstat(file.fileno()).st_size
        while head := file.read(12):
            if len(head) < 12:
                tell("the file ends in the middle of an event")
                return
            length, checksum = struct.unpack("<QI", head)
            if masked_crc32c(head[:8]) != checksum or length > _LONGEST_EVENT:
                tell(f"a length fails its checksum; the {_rest(file):,} bytes after it are lost")
                return
            if length > size - file.tell():  # checked before reading, which would allocate all of it
                tell("the file ends in the middle of an event")
                return
            data, tail = file.read(length), file.read(4)
            if len(data) < length or len(tail) < 4:
                tell("the file ends in the middle of an event")
                return
            if check and struct.unpack("<I", tail)[0] != masked_crc32c(data):
                tell("an event fails its checksum")
                continue
            yield data


def _rest(file: BinaryIO) -> int:
    at = file.tell()
    return file.seek(0, 2) - at


def masked_crc32c(data: bytes) -> int:
    """Return the CRC-32C of *data*, masked as in TFRecords."""
    crc = 0xFFFF_FFFF
    table = _table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFF_FFFF
    return ((crc >> 15 | crc << 17) + 0xA282_EAD8) & 0xFFFF_FFFF


@cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F6_3B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)
