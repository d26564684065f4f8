"""MLflow's database, a file of SQLite: read as it is, without MLflow, so its version does not matter."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from refunc.importing import mlflow
from refunc.importing.source import Problems, SourceError, SourceRun
from refunc.journal import record as records

_MAGIC = b"SQLite format 3\0"
#: MLflow stores an infinity as the largest float there is.
_INFINITY = 1.7976931348623157e308
_TABLES = {"experiments", "runs", "params", "metrics", "tags"}


def is_mlflow_database(path: Path) -> bool:
    """Whether *path* is a file of SQLite."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def read_database(path: Path, *, deleted: bool) -> tuple[list[SourceRun], int]:
    """
    Return the runs in the database at *path*, and how many deleted ones were left out.

    Args:
        deleted: Take the deleted ones too.

    Raises:
        SourceError: It is no database of MLflow, or cannot be read.
    """
    try:
        with closing(_connect(path)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables >= _TABLES:
                missing = ", ".join(sorted(_TABLES - tables))
                raise SourceError(f"{path} is no database of MLflow: it has no table {missing}.")
            rows = database.execute(
                "SELECT runs.*, experiments.name AS experiment FROM runs LEFT JOIN experiments USING (experiment_id)"
                " ORDER BY start_time, run_uuid"
            ).fetchall()
            tags: dict[str, dict[str, str]] = {}
            for run, key, value in database.execute("SELECT run_uuid, key, value FROM tags ORDER BY run_uuid, key"):
                tags.setdefault(run, {})[key] = value or ""
    except sqlite3.Error as error:
        raise SourceError(f"{path} cannot be read: {error}.") from error
    chosen = [row for row in rows if deleted or row["lifecycle_stage"] != "deleted"]
    return [_run(path, row, tags.get(row["run_uuid"], {})) for row in chosen], len(rows) - len(chosen)


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    # A text that is no UTF-8 costs its own letters only.
    database.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
    return database


def _run(path: Path, row: sqlite3.Row, tags: dict[str, str]) -> SourceRun:
    run_id = row["run_uuid"]
    start = (row["start_time"] or 0) / 1_000
    name = (row["name"] if "name" in row.keys() else None) or tags.get(mlflow.NAME_TAG)  # noqa: SIM118  # a Row has no `in`

    def contents(problems: Problems) -> Iterator[records.Record]:
        try:
            with closing(_connect(path)) as database:
                yield from _contents(path, database, row, tags, start, problems)
        except sqlite3.Error as error:
            problems.add(f"the database is damaged: {error}")

    return SourceRun(
        tracker=mlflow.TRACKER,
        id=run_id,
        experiment=row["experiment"] or str(row["experiment_id"]),
        name=name or None,
        start_time=start,
        end_time=row["end_time"] / 1_000 if row["end_time"] else None,
        status=mlflow.STATUSES.get(str(row["status"])),
        parent=tags.get(mlflow.PARENT_TAG),
        script=tags.get(mlflow.SOURCE_TAG) or row["source_name"] or None,
        place=path,
        records=contents,
    )


def _contents(
    path: Path, database: sqlite3.Connection, row: sqlite3.Row, tags: dict[str, str], start: float, problems: Problems
) -> Iterator[records.Record]:
    run_id = row["run_uuid"]
    if tags:
        yield records.Tags(tags=tags, time=start)
    params = dict(database.execute("SELECT key, value FROM params WHERE run_uuid = ? ORDER BY key", (run_id,)))
    if params:
        yield records.Params(params={key: mlflow.param(value or "") for key, value in params.items()}, time=start)
    end = start
    query = "SELECT timestamp, step, key, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY timestamp, step, key"
    rows = database.execute(query, (run_id,))
    for record in mlflow.grouped((*place, _value(value, is_nan)) for *place, value, is_nan in rows):
        end = max(end, record.time)
        yield record
    near = [
        path.parent / folder / str(row["experiment_id"]) / run_id / "artifacts" for folder in ("mlartifacts", "mlruns")
    ]
    yield from mlflow.artifacts(row["artifact_uri"] or "", near, end, problems)


def _value(value: float, is_nan: object) -> float:
    if is_nan:
        return float("nan")
    return float("inf") * (1 if value > 0 else -1) if abs(value) == _INFINITY else value
