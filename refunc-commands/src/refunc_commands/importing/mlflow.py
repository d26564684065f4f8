"""
The common part of MLflow's two stores: states, reserved tags, texts that were numbers, and artifacts.

MLflow keeps every param as text. A text is turned back into a number, True, False or None if formatting that value
gives the same text, so nothing is lost: `0.001` becomes a number, `1e-3` and `007` stay texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from refunc.journal import record as records
from refunc.journal.kinds import COMPLETED, EXITED, FAILED, INTERRUPTED, PRUNED
from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.problems import Problems
from refunc_commands.importing.source import LAST_MOMENT, file_records

TRACKER = "mlflow"

#: MLflow's states of a run that has ended, by name and by number. Others (RUNNING, SCHEDULED) have no end.
STATUSES = {
    "FINISHED": COMPLETED,
    "FAILED": FAILED,
    "KILLED": INTERRUPTED,
    "3": COMPLETED,
    "4": FAILED,
    "5": INTERRUPTED,
}

#: The tag in which refunc's delivery keeps a run's own status, for which MLflow has no equal.
_STATUS_TAG = "refunc.status"
_OWN_STATUSES = {PRUNED, EXITED}

PARENT_TAG = "mlflow.parentRunId"
NAME_TAG = "mlflow.runName"
SOURCE_TAG = "mlflow.source.name"

#: The latest valid time in MLflow's milliseconds.
LATEST = int(LAST_MOMENT) * 1_000

#: An id of a run or of an experiment, which is a folder's name.
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_WORDS: dict[str, Any] = {"True": True, "False": False, "None": None}


def status_of(state: object, tags: Mapping[str, str]) -> str | None:
    """Return the status of a run that ended in MLflow's *state*; None if it has not ended."""
    own = tags.get(_STATUS_TAG)
    status = STATUSES.get(str(state))
    return own if status is not None and own in _OWN_STATUSES else status


def param(text: str) -> Any:
    """Return the value that MLflow turned into *text* if it is certain, else the text."""
    if text in _WORDS:
        return _WORDS[text]
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text:
            return value
    return text


def grouped(points: Iterable[tuple[int, int, str, float]]) -> Iterator[records.Metrics]:
    """
    Yield sorted *points* (time in milliseconds, step, name, value) as records.

    Points of one time and step are put into one record, as they were logged; a repeated name starts another record.
    """
    metrics: dict[str, int | float | None] = {}
    at = (0, 0)
    for timestamp, step, name, value in points:
        if metrics and (at != (timestamp, step) or name in metrics):
            yield records.Metrics(metrics=metrics, step=at[1], time=at[0] / 1_000)
            metrics = {}
        at = (timestamp, step)
        metrics[name] = value
    if metrics:
        yield records.Metrics(metrics=metrics, step=at[1], time=at[0] / 1_000)


def checked_time(milliseconds: object) -> int:
    """
    Return the time of a point.

    Raises:
        ValueError: It is not one.
    """
    if not isinstance(milliseconds, (int, float)) or not -LATEST <= milliseconds <= LATEST:
        raise ValueError("no time")
    return int(milliseconds)


def is_id(text: object) -> bool:
    """Whether *text* is a valid id of a run or of an experiment, and so a valid name of its folder."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def artifacts(
    files: SourceFiles, uri: str, near: list[Path], moment: float, problems: Problems
) -> Iterator[records.Artifact]:
    """
    Yield the files of a run's artifact folder, or a reference if it is in a bucket.

    Args:
        uri: The path that MLflow has recorded. It may be any folder of this machine, so it is accepted only inside the
        source, and only if its name ends like those in *near*, with the run's id and `artifacts`.
        near: The folders that are tried first.
    """
    try:
        parts = urlsplit(uri)
        recorded = Path(unquote(parts.path)) if parts.scheme in ("", "file") and parts.path else None
        own = recorded is not None and recorded.parts[-2:] in [each.parts[-2:] for each in near]
        folder = next((each for each in ([*near, recorded] if recorded and own else near) if _holds(files, each)), None)
    except ValueError:  # an invalid address in brackets, or a NUL
        problems.leave_out("the artifact folder", "its address is damaged")
        return
    if folder is not None:
        # A database may lie in any folder, so links in its artifacts are not followed to files outside of them.
        yield from file_records(SourceFiles(folder) if files.path.is_file() else files, folder, moment, problems)
    elif parts.scheme == "mlflow-artifacts":
        problems.add(f"the artifacts at {uri} are on their server")
    elif parts.scheme not in ("", "file"):
        yield records.Artifact(name="artifacts", source=uri, time=moment)
    elif recorded is not None and recorded.is_dir():
        hint = f"; copy it to {near[0]} to import it" if near else ""
        problems.leave_out(f"the artifact folder {recorded}", f"it is not in the source{hint}")


def _holds(files: SourceFiles, folder: Path) -> bool:
    """Whether *folder* is in the source, and not a link to a folder of another name."""
    return files.has_folder(folder) and folder.resolve().parts[-2:] == folder.parts[-2:]
