"""
The files of Lightning's CSVLogger: folders `lightning_logs/version_0` with `metrics.csv` and `hparams.yaml`.

The files contain no times. A run starts at the time of `hparams.yaml`, which is written first, and ends at the time of
`metrics.csv`, which is also the time of all points.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from refunc.journal import record as records
from refunc.runs.expression.values import number_in
from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.problems import Problems, SourceError
from refunc_commands.importing.source import SourceRun, file_records
from refunc_commands.importing.yaml_files import read_yaml

TRACKER = "lightning"

_METRICS, _PARAMS = "metrics.csv", "hparams.yaml"
_UNKNOWN = "unknown"
_LONGEST_LINE = 1 << 20
#: A longer file is identified by its beginning and its size.
_HASHED_BYTES = 1 << 30


def find_runs(files: SourceFiles, path: Path, problems: Problems) -> list[Path]:
    """Return the `metrics.csv` files at or below *path*; also for runs that only have an `hparams.yaml`."""
    if path.is_file():
        return [path] if path.name == _METRICS else []
    found, params, others = set(), set(), set()
    for file in files.walk(path, problems, wanted=lambda name: name in (_METRICS, _PARAMS) or ".tfevents." in name):
        if file.name == _METRICS:
            found.add(file)
        elif file.name == _PARAMS:
            params.add(file.with_name(_METRICS))
        else:
            others.add(file.with_name(_METRICS))
    # TensorBoardLogger writes an `hparams.yaml` too.
    return sorted(found | (params - others))


def read_run(files: SourceFiles, file: Path) -> SourceRun:
    """
    Return the run of the metrics *file*, which need not exist: a run may have ended before its first row.

    Raises:
        SourceError: It is not a file of the source.
        OSError: It cannot be read.
    """
    folder = file.parent
    params = folder / _PARAMS
    last = file if files.is_file(file) else params
    end = last.stat().st_mtime
    start = min(end, params.stat().st_mtime) if files.is_file(params) else end
    return SourceRun(
        tracker=TRACKER,
        # By its content: each folder has a `version_0`, and the name is used again after a run was removed.
        id=f"{folder.parent.name}/{folder.name}/{_digest(files, last)}",
        experiment=folder.parent.name or "lightning",
        name=folder.name,
        start_time=start,
        end_time=end,
        status=_UNKNOWN,
        path=folder,
        files=files,
        records=partial(_contents, files, file, start, end),
    )


def _digest(files: SourceFiles, path: Path) -> str:
    digest, left = hashlib.sha256(), _HASHED_BYTES
    with files.open(path) as file:
        size = os.fstat(file.fileno()).st_size
        while left > 0 and (chunk := file.read(1 << 20)):
            digest.update(chunk)
            left -= len(chunk)
    if size > _HASHED_BYTES:
        digest.update(b"%d" % size)
    return digest.hexdigest()[:16]


def _contents(files: SourceFiles, file: Path, start: float, end: float, problems: Problems) -> Iterator[records.Record]:
    params = file.with_name(_PARAMS)
    if params.exists():
        try:
            values = read_yaml(files, params)
        except ValueError as error:
            problems.add(f"{_PARAMS} is damaged: {error}")
        else:
            if values:
                yield records.Params(params=values, time=start)
    if files.is_file(file):
        yield from _metrics(files, file, end, problems)
    yield from file_records(
        files, file.parent, end, problems, leave=lambda path: path in (file, params) or ".tfevents." in path.name
    )


def _metrics(files: SourceFiles, file: Path, end: float, problems: Problems) -> Iterator[records.Metrics]:
    with files.open(file) as reading:
        rows = csv.reader(_lines(reading, problems))
        try:
            head = next(rows, [])
            for row in rows:
                if len(row) != len(head):
                    problems.add(f"a row does not have the {len(head)} cells of the heading")
                    continue
                record = _row(dict(zip(head, row, strict=True)), end, problems)
                if record is not None:
                    yield record
        except (csv.Error, SourceError) as error:
            problems.add(f"a row and the rows after it cannot be read: {error}")


def _lines(reading: BinaryIO, problems: Problems) -> Iterator[str]:
    """Yield the complete lines."""
    if reading.seek(0, os.SEEK_END):
        reading.seek(-1, os.SEEK_END)
        if reading.read(1) != b"\n":
            problems.add("the last row is incomplete")
        reading.seek(0)
    while line := reading.readline(_LONGEST_LINE):
        if not line.endswith(b"\n"):
            if len(line) == _LONGEST_LINE:
                raise SourceError(f"it has more than {_LONGEST_LINE:,} characters")
            return
        yield line.decode("utf-8", "backslashreplace")


def _place(name: str, text: str, problems: Problems) -> int | float | None:
    """Return a step or an epoch as an int, or as a float if it has a fraction."""
    number = number_in(text)
    if text and (number is None or not math.isfinite(number)):
        problems.add(f"the {name} of a row is not a finite number, and was left out")
        return None
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _row(cells: dict[str, str], end: float, problems: Problems) -> records.Metrics | None:
    places = [_place(name, cells.pop(name, ""), problems) for name in ("step", "epoch")]
    metrics: dict[str, int | float | None] = {}
    other: dict[str, Any] = {}
    for name, text in cells.items():
        if text:
            value = number_in(text)
            if value is None:
                other[name] = text
            else:
                metrics[name] = value
    if not metrics and not other:
        return None
    step, epoch = places
    return records.Metrics(metrics=metrics, other=other, step=step, epoch=epoch, time=end)
