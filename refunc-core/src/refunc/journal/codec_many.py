"""
Many lines decoded at once, if they are plain records of metrics, as most lines of a journal are.

Delivery reads every line of a run as a record, and reading curves takes millions. One by one that costs ten times as
much as in a batch, where checksum, JSON and types are each one pass in C. A batch with anything else in it is decoded
line by line, as `reader` does.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import groupby, repeat
from operator import itemgetter
from typing import Any

import msgspec
from msgspec.json import encode

from refunc.journal.codec import CRC_LENGTH, CRC_MARK, MAX_VALUES
from refunc.journal.record import Metrics

_BRACE = ord("{")
_FIRST, _KIND, _METRICS = b'{"seq":', b'"kind":', b'"kind":"metrics"'
#: How many lines in a row are worth decoding together.
_FEWEST = 4
#: Of how many lines one is looked at before all are counted.
_SAMPLED = 16

_decode = msgspec.json.Decoder(Metrics).decode_lines
#: Members that a line nearly always leaves out. For a missing attribute msgspec raises and catches an AttributeError
#: before it makes the default. Defaults cost less if they are written in front of a line, whose own members come after
#: them.
_LEFT_OUT: dict[str, Any] = {"epoch": None, "auto": False, "other": {}}


def runs_of(lines: list[bytes]) -> Iterator[tuple[bool, list[bytes]]]:
    """Yield *lines* in order: runs that are worth trying with `decode_metrics`, and the lines between them."""
    if _are_metrics(lines):
        yield len(lines) >= _FEWEST, lines
        return
    begin = 0
    found = list(map(bytes.find, lines, repeat(_METRICS)))  # `in` costs more: it raises and catches a TypeError
    for is_metrics, run in groupby(found, key=(0).__lt__):
        end = begin + len(list(run))
        yield is_metrics and end - begin >= _FEWEST, lines[begin:end]
        begin = end


def _are_metrics(lines: list[bytes]) -> bool:
    """
    Whether there are as many marks of metrics as *lines*; the decoder refuses a line with two of them.

    One count takes half of the time of a search in each line. It is lost where other lines are between, so some are
    looked at first.
    """
    some = map(bytes.find, lines[::_SAMPLED], repeat(_METRICS))
    return min(some, default=0) > 0 and b"\n".join(lines).count(_METRICS) == len(lines)


def decode_metrics(lines: list[bytes], writer: str, logger: str) -> list[Metrics] | None:
    """
    Return the records in *lines*, a run from `runs_of`; None if one of them has to be decoded alone.

    Args:
        logger: The logger of records that do not name one.
    """
    text = sealed_text(lines)
    if text is None or not _are_plain(text, len(lines)):
        return None
    first = encode({"writer": writer, "logger": logger, **_LEFT_OUT})[:-1] + b"," + _FIRST[1:]
    try:
        return _decode(text.replace(_FIRST, first))
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None


def sealed_text(lines: list[bytes]) -> bytes | None:
    """
    Return *lines*, a run from `runs_of`, without their checksums, as the text that a typed decoder of lines takes.

    If that finds as many values as there are lines, each line is one of them: after the brace that ends one value, the
    brace that begins the next cannot be part of any other value.

    None if a checksum fails, a line does not begin with a brace, or has room for more values than readers take.
    """
    if len(max(lines, key=len)) > MAX_VALUES or not all(lines) or set(map(itemgetter(0), lines)) != {_BRACE}:
        return None
    bodies = [line[:-CRC_LENGTH] + b"}" for line in lines]
    return b"\n".join(bodies) if _are_sealed(lines, bodies) else None


def _are_plain(text: bytes, count: int) -> bool:
    """
    Whether *text* has *count* lines of metrics that hide nothing, if it decodes as such.

    Each line begins with its number, and has one more brace and no bracket: a line of metrics does not have fewer, so
    none has more: nothing is nested in its metrics, and there are no other objects. Each has one kind, the one that
    `runs_of` saw, and nothing is spelt differently.
    """
    return (
        text.startswith(_FIRST)
        and text.count(b"\n" + _FIRST) == count - 1
        and text.count(b"{") == 2 * count
        and text.count(_KIND) == count
        and not any(mark in text for mark in (b"[", b"\\", b'"nonfinite":', b'"writer":'))
    )


def _are_sealed(lines: list[bytes], bodies: list[bytes]) -> bool:
    """Whether each of *lines* ends with the checksum of its body, a JSON object."""
    checksums = struct.pack(f">{len(lines)}I", *map(zlib.crc32, bodies))
    endings = checksums.hex("\n", 4).encode().replace(b"\n", b'"}' + CRC_MARK)
    return b"".join([line[-CRC_LENGTH:] for line in lines]) == CRC_MARK + endings + b'"}'
