"""
What Lightning's CSVLogger leaves: folders `lightning_logs/version_0` with `metrics.csv` and `hparams.yaml`.

The files have no times. A run's start is the time of `hparams.yaml`, which is written first, and its end, which all
points get as their time, that of `metrics.csv`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from refunc.importing.source import Problems, SourceRun
from refunc.importing.yaml_files import read_yaml
from refunc.journal import record as records

TRACKER = "lightning"

_METRICS, _PARAMS = "metrics.csv", "hparams.yaml"
_UNKNOWN = "unknown"


def find_runs(path: Path) -> list[Path]:
    """Return the `metrics.csv` files at or below *path*; also of runs that have none, but only their `hparams.yaml`."""
    if path.is_file():
        return [path] if path.name == _METRICS else []
    found = {file for file in path.rglob(_METRICS) if file.is_file()}
    # TensorBoardLogger writes an `hparams.yaml` too.
    found |= {file.with_name(_METRICS) for file in path.rglob(_PARAMS) if not any(file.parent.glob("*.tfevents.*"))}
    return sorted(found)


def read_run(file: Path) -> SourceRun:
    """
    Return the run whose metrics are in *file*, or would be: it may have ended before its first row.

    Raises:
        OSError: It cannot be read.
    """
    folder = file.parent.absolute()
    params = folder / _PARAMS
    last = file if file.exists() else params
    end = last.stat().st_mtime
    start = min(end, params.stat().st_mtime) if params.is_file() else end
    with open(last, "rb") as reading:
        digest = hashlib.sha256()
        while chunk := reading.read(1 << 20):
            digest.update(chunk)
    return SourceRun(
        tracker=TRACKER,
        # By what is in it: `version_0` is the name of a run in every folder, and of the next one after it was removed.
        id=f"{folder.parent.name}/{folder.name}/{digest.hexdigest()[:16]}",
        experiment=folder.parent.name or "lightning",
        name=folder.name,
        start_time=start,
        end_time=end,
        status=_UNKNOWN,
        place=folder,
        records=lambda problems: _contents(file, start, end, problems),
    )


def _contents(file: Path, start: float, end: float, problems: Problems) -> Iterator[records.Record]:
    params = file.with_name(_PARAMS)
    if params.is_file():
        try:
            values = read_yaml(params)
        except ValueError as error:
            problems.add(f"{_PARAMS} is damaged: {error}")
        else:
            if values:
                yield records.Params(params=values, time=start)
    if file.exists():
        yield from _metrics(file, end, problems)
    for folder, folders, names in os.walk(file.parent):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path not in (file, params) and ".tfevents." not in name:
                shown = path.relative_to(file.parent).as_posix()
                yield records.Artifact(name=shown, source=str(path), time=end)


def _metrics(file: Path, end: float, problems: Problems) -> Iterator[records.Metrics]:
    with open(file, encoding="utf-8", errors="backslashreplace", newline="") as reading:
        text = reading.read()
    if text and not text.endswith("\n"):
        problems.add("the last row has no end")
        text = text[: text.rfind("\n") + 1]
    rows = csv.reader(io.StringIO(text, newline=""))
    head = next(rows, [])
    try:
        for row in rows:
            if len(row) != len(head):
                problems.add(f"a row has not the {len(head)} cells of the heading")
                continue
            record = _row(dict(zip(head, row, strict=True)), end)
            if record is not None:
                yield record
    except csv.Error as error:
        problems.add(f"a row cannot be read, nor those behind it: {error}")


def _row(cells: dict[str, str], end: float) -> records.Metrics | None:
    place = {name: _number(cells.pop(name, "")) for name in ("step", "epoch")}
    metrics: dict[str, int | float | None] = {}
    other: dict[str, Any] = {}
    for name, text in cells.items():
        if text:
            value = _number(text)
            if value is None:
                other[name] = text
            else:
                metrics[name] = value
    if not metrics and not other:
        return None
    step, epoch = (int(value) if value is not None else None for value in place.values())
    return records.Metrics(metrics=metrics, other=other, step=step, epoch=epoch, time=end)


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
