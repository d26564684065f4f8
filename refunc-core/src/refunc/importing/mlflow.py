"""
What MLflow's two stores have in common: its states, its reserved tags, its texts that were numbers, its artifacts.

MLflow keeps every param as text. One that was a number, True, False or None becomes that again where writing it gives
the same text, so nothing is lost: `0.001` is a number, `1e-3` and `007` stay texts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from refunc.importing.source import Problems
from refunc.journal import record as records
from refunc.journal.kinds import COMPLETED, FAILED, INTERRUPTED

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

PARENT_TAG = "mlflow.parentRunId"
NAME_TAG = "mlflow.runName"
SOURCE_TAG = "mlflow.source.name"

_WORDS: dict[str, Any] = {"True": True, "False": False, "None": None}


def param(text: str) -> Any:
    """Return the value that MLflow made *text* of, where that is certain, else the text."""
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
    Yield *points*, which come ordered, each with its time in milliseconds, step, name and value, as records.

    Those of one time and step stand in one record, as they were logged; a name that is there twice, in two.
    """
    metrics: dict[str, int | float | None] = {}
    place = (0, 0)
    for timestamp, step, name, value in points:
        if metrics and (place != (timestamp, step) or name in metrics):
            yield records.Metrics(metrics=metrics, step=place[1], time=place[0] / 1_000)
            metrics = {}
        place = (timestamp, step)
        metrics[name] = value
    if metrics:
        yield records.Metrics(metrics=metrics, step=place[1], time=place[0] / 1_000)


def artifacts(uri: str, near: list[Path], moment: float, problems: Problems) -> Iterator[records.Artifact]:
    """
    Yield the files of a run's artifact folder; for one on another machine a reference to it.

    Args:
        uri: Where MLflow says that they are.
        near: Where they are looked for besides, for a store that was moved or that a server was in front of.
    """
    parts = urlsplit(uri)
    places = [Path(unquote(parts.path))] if parts.scheme in ("", "file") and parts.path else []
    folder = next((place for place in (*places, *near) if place.is_dir()), None)
    if folder is None:
        if parts.scheme not in ("", "file", "mlflow-artifacts"):
            yield records.Artifact(name="artifacts", source=uri, time=moment)
        elif parts.scheme == "mlflow-artifacts":
            problems.add(f"the artifacts at {uri} are on their server")
        return
    for inside, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(inside, name)
            yield records.Artifact(name=path.relative_to(folder).as_posix(), source=str(path), time=moment)
