"""
Names that are safe as paths, and unique ids.

A user's string never becomes a path: it becomes a slug of at most 40 characters, next to a random id or with a hash,
and is kept in full inside the JSON. Modules that only a run needs are imported by the function that needs them: a
script that logs lines does not pay for hashes and random numbers.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+|\.{2,}")
#: Names that Windows reserves for devices, with any suffix.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def slug(name: str, fallback: str = "run") -> str:
    """Return *name* as 1 to 40 ASCII letters, digits, and `_`, `-` or single dots between them: a safe path."""
    plain = name[:400]
    if not plain.isascii():
        plain = _imported("unicodedata").normalize("NFKD", plain).encode("ascii", "ignore").decode("ascii")
    return _UNSAFE.sub("-", plain).strip("-_.")[:40].rstrip("-_.") or fallback


def unique_slug(name: str, fallback: str = "run", *, is_reserved: Callable[[str], bool] | None = None) -> str:
    """
    Return *name* if it is a slug itself, otherwise its slug and a hash of it: different names never give the same
    result.

    Args:
        is_reserved: Whether a slug is the name of something else, so that it gets a hash as well.
    """
    plain = slug(name, fallback)
    if plain == name and plain.partition(".")[0].lower() not in _DEVICES and not (is_reserved and is_reserved(plain)):
        return plain
    digest = _imported("hashlib").sha256(name.encode("utf-8", "backslashreplace")).hexdigest()
    return f"{plain[:33].rstrip('-')}-{digest[:6]}"


def new_id(length: int = 8) -> str:
    """Return a random id of lower-case letters and digits."""
    drawn = int.from_bytes(os.urandom(length + 8), "little")  # eight more bytes make all digits equally likely
    return _digits(drawn)[:length]


def folder_name(started: float, name: str, run_id: str) -> str:
    """Return the folder name of a run: `20261123-144539_resnet_v1_k3f9a2b7`. Such names sort by local start time."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(started))}_{slug(name)}_{run_id}"


def is_folder_name(name: str) -> bool:
    """Whether *name* looks like one that `folder_name` returns."""
    return re.fullmatch(r"\d{8}-\d{6}_.+_[a-z0-9]{8}", name) is not None


def may_be_folder_name(name: str) -> bool:
    """Whether *name* looks like that of a run's folder; those of launches begin without a time: `resnet_k3f9a2b7`."""
    return re.fullmatch(r".+_[a-z0-9]{8}", name) is not None


def writer_id(host: str) -> str:
    """Return a unique name for this process as a writer, across processes, hosts and time: never the pid alone."""
    started = _digits(time.time_ns() // 1_000_000)[::-1]
    return f"{slug(host, 'host')[:8].rstrip('-')}-{os.getpid()}-{started}-{new_id(4)}"


def _digits(number: int) -> str:
    """Return *number* to the base of 36, its last digit first."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits += _ALPHABET[digit]
    return digits


@cache  # a name may be needed at interpreter shutdown, where imports fail
def _imported(module: str) -> Any:
    return import_module(module)
