"""
Names that are safe as paths, and ids that nobody else has.

A user's string never becomes a path: it becomes a slug of at most 40 characters, beside a random id or with a hash, and
stands in full inside the JSON. What only a run needs is imported by the function that needs it: a script that logs
lines does not pay for hashes and random numbers.
"""

from __future__ import annotations

import os
import re
import time

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+|\.{2,}")
#: Names that Windows keeps for devices, whatever the suffix.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def slug(name: str, fallback: str = "run") -> str:
    """Return *name* as 1 to 40 ASCII letters, digits, and `_`, `-` or single dots between them: a safe path."""
    import unicodedata

    plain = unicodedata.normalize("NFKD", name[:400]).encode("ascii", "ignore").decode("ascii")
    return _UNSAFE.sub("-", plain).strip("-_.")[:40].rstrip("-_.") or fallback


def unique_slug(name: str, fallback: str = "run") -> str:
    """Return *name* where it is a slug itself, else its slug and a hash of it: one result for one name only."""
    plain = slug(name, fallback)
    if plain == name and plain.partition(".")[0].lower() not in _DEVICES:
        return plain
    import hashlib

    return f"{plain[:33].rstrip('-')}-{hashlib.sha256(name.encode('utf-8', 'backslashreplace')).hexdigest()[:6]}"


def new_id(length: int = 8) -> str:
    """Return a random id of lower-case letters and digits."""
    import secrets

    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def folder_name(started: float, name: str, run_id: str) -> str:
    """Return the folder name of a run: `20261123-144539_resnet_v1_k3f9a2b7`. Such names sort by local start time."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(started))}_{slug(name)}_{run_id}"


def is_folder_name(name: str) -> bool:
    """Whether *name* looks like one that `folder_name` returns."""
    return re.fullmatch(r"\d{8}-\d{6}_.+_[a-z0-9]{8}", name) is not None


def writer_id(host: str) -> str:
    """Return a name for this process as a writer that no other process, host or time has: never the pid alone."""
    started = time.time_ns() // 1_000_000
    digits = ""
    while started:
        started, digit = divmod(started, 36)
        digits = _ALPHABET[digit] + digits
    return f"{slug(host, 'host')[:8].rstrip('-')}-{os.getpid()}-{digits}-{new_id(4)}"
