"""Reading the birth record of a run, `run.json`: its bytes become values of the types that the format defines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

from refunc.journal.folder import RUN_JSON
from refunc.journal.opening import read_whole

#: More bytes than any birth record has.
_MOST_BYTES: Final = 1 << 20
#: Members that are text, or null where they are not known.
_TEXTS: Final = (
    *("run_name", "experiment_id", "experiment_name", "parent_id"),
    *("logger", "host", "python", "refunc", "script", "commit"),
)
_COUNTS: Final = ("pid", "attempt")
#: The beginning of the year 10000: Python's calendar ends there.
_END_OF_TIME: Final = 253_402_300_799


def birth_in(folder: Path) -> dict[str, Any]:
    """
    Return the contents of `run.json` in *folder*. Its members have the types that the format defines; there may be
    others.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a birth record; the text says why, as the end of a sentence that begins with `run.json`.
        NoDescriptorError: Too many files are open.
    """
    data = read_whole(folder / RUN_JSON, _MOST_BYTES)
    try:
        birth = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"cannot be read ({error})") from error
    if not isinstance(birth, dict) or not isinstance(birth.get("run_id"), str):
        raise ValueError("does not name a run")
    if type(birth.get("format")) is not int:
        raise ValueError("does not name a format")
    for name in _TEXTS:
        if not isinstance(birth.get(name), (str, type(None))):
            raise ValueError(f"has a `{name}` that is not text")
    for name in _COUNTS:
        if type(birth.get(name)) not in (int, type(None)):
            raise ValueError(f"has a `{name}` that is not a number")
    if not _is_moment(birth.get("start_time", 0.0)):
        raise ValueError("does not have a valid start time")
    return birth


def _is_moment(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < _END_OF_TIME  # type: ignore[arg-type]
