"""The file of annotations, `annotations.json`: reading it, within bounds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from refunc.annotations.change import Change, change_of
from refunc.annotations.state import Annotations
from refunc.journal.opening import read_whole

ANNOTATIONS: Final = "annotations.json"
FORMAT: Final = 1
#: The most bytes of a file that is read.
MOST_BYTES: Final = 1 << 20
_NONE: Final = Annotations()


def data_of(folder: Path) -> bytes | str | None:
    """
    Return the bytes of the file in *folder*, or why it cannot be read; None if there is none.

    Raises:
        NoDescriptorError: Too many files are open.
    """
    place = os.fspath(folder)
    if not is_annotated(place):  # of most runs, and asked of every run in a list
        return None
    try:
        return read_whole(f"{place}/{ANNOTATIONS}", MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or str(error)


def is_annotated(folder: str) -> bool:
    """Whether there is a file of annotations in *folder*."""
    try:
        os.lstat(f"{folder}/{ANNOTATIONS}")
    except (OSError, ValueError):
        return False
    return True


def parsed(data: bytes | str | None) -> Annotations:
    """Return the annotations of a result of `data_of`; for a damaged file none, and the problem."""
    if data is None:
        return _NONE
    if isinstance(data, str):
        return Annotations(problem=f"{ANNOTATIONS} cannot be read ({data})")
    try:
        return Annotations(tuple(_changes(json.loads(data))))
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        return Annotations(problem=f"{ANNOTATIONS} is damaged ({said})")


def _changes(content: Any) -> Iterator[Change]:
    if not isinstance(content, dict) or type(content.get("format")) is not int:
        raise ValueError("it does not name a format")
    if content["format"] > FORMAT:
        raise ValueError(f"its format {content['format']} is newer than this refunc reads")
    changes = content.get("changes")
    if not isinstance(changes, list):
        raise ValueError("it has no list of changes")
    yield from map(change_of, changes)


def read(folder: Path) -> Annotations:
    """Return the annotations of the run in *folder*. Raises NoDescriptorError, and nothing else."""
    return parsed(data_of(folder))
