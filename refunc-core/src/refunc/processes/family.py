"""
Which runs were opened by the family of this process: by its ancestors, or by descendants of these.

`run.json` says which process opened a run, but any user who can write to a store can write such a file. So it has marks
of the run's id and place, made with tokens that only processes of the family have: a copy elsewhere does not count.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from refunc.processes.parent import given_keys, own_token

#: The member of `run.json` that has the marks.
FAMILY = "family"
#: An upper bound of the packages that start processes.
_MOST = 8


def marks_of(folder: Path, run_id: str) -> list[str]:
    """Return the marks of the run in *folder*, which this process opens."""
    return [_mark(token, folder, run_id) for token in _tokens()]


def is_of_family(folder: Path, birth: Mapping[str, Any]) -> bool:
    """Whether a process of this one's family opened the run in *folder*, whose `run.json` holds *birth*."""
    said = birth.get(FAMILY)
    if not isinstance(said, list):
        return False
    run_id = str(birth.get("run_id"))
    return any(_mark(token, folder, run_id) in said[:_MOST] for token in _tokens())


def _tokens() -> list[bytes]:
    made = [blake2b(key, digest_size=32, person=b"refunc family").digest() for key in given_keys()]
    return list(dict.fromkeys([own_token(), *made]))


def _mark(token: bytes, folder: Path, run_id: str) -> str:
    try:
        place = os.fsencode(os.path.realpath(folder))
    except OSError:  # the working folder was removed
        place = os.fsencode(folder)
    said = run_id.encode("utf-8", "surrogatepass") + b"\0" + place
    return blake2b(said, key=token, digest_size=16, person=b"refunc run").hexdigest()
