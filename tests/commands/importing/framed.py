"""Messages in the frames of W&B's and TensorBoard's files."""

from __future__ import annotations

import struct
import zlib

from refunc_commands.importing.framing import masked_crc32c


def event(data: bytes) -> bytes:
    """Return a message as TensorBoard frames it: its length, and a checksum of each."""
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked_crc32c(head)) + data + struct.pack("<I", masked_crc32c(data))


def wandb_file(*payloads: bytes) -> bytes:
    """Return a file as W&B writes it: a header, and payloads in chunks that fit blocks of 32 KiB."""
    out = bytearray(b":W&B\xe1\xbe\x00")
    for payload in payloads:
        begun = False
        while True:
            room = 32_768 - len(out) % 32_768
            if room < 7:
                out += bytes(room)
                continue
            part, payload = payload[: room - 7], payload[room - 7 :]
            kind = bytes([{(False, True): 1, (False, False): 2, (True, False): 3, (True, True): 4}[begun, not payload]])
            out += struct.pack("<IH", zlib.crc32(part, zlib.crc32(kind)), len(part)) + kind + part
            begun = True
            if not payload:
                break
    return bytes(out)
