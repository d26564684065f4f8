"""MLflow's SQLite database, read without MLflow, so its version does not matter."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from refunc.journal import record as records
from refunc_commands.importing import mlflow
from refunc_commands.importing.databases import MAGIC, Database, Snapshot
from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.problems import Problems, SourceError, attempted
from refunc_commands.importing.source import SourceRun

#: MLflow stores an infinity as the largest float.
_INFINITY = 1.7976931348623157e308
_TABLES = {"experiments", "runs", "params", "metrics", "tags"}


def is_mlflow_database(files: SourceFiles, path: Path) -> bool:
    """Whether *path* is a file of SQLite."""
    try:
        with files.open(path) as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, SourceError):
        return False


def read_database(files: SourceFiles, path: Path, problems: Problems, *, deleted: bool) -> tuple[list[SourceRun], int]:
    """
    Return the runs in the database at *path*, and how many deleted ones were left out.

    Args:
        problems: Collects the parts that cannot be read.
        deleted: Include the deleted runs.

    Raises:
        SourceError: It is not a database of MLflow, or cannot be read.
    """
    try:
        snapshot = Snapshot(files, path)
        with snapshot.opened() as database:
            tables = _tables(path, database, problems)
            rows = _rows(database, problems)
            tags = _tags(database, problems) if "tags" in tables else {}
    except sqlite3.Error as error:
        raise SourceError(f"{path} cannot be read: {error}.") from error
    chosen = [row for row in rows if deleted or row["lifecycle_stage"] != "deleted"]
    runs: dict[str, SourceRun] = {}
    for row in chosen:
        leave_out = partial(problems.leave_out, f"run {_text(row['run_uuid'])[:64]}")
        run = attempted(partial(_run, files, path, snapshot, row, tags, tables), leave_out)
        if run is not None and run.id in runs:
            leave_out("the database has it twice")
        elif run is not None:
            runs[run.id] = run
    return sorted(runs.values(), key=lambda run: (run.start_time, run.id)), len(rows) - len(chosen)


def _tables(path: Path, database: Database, problems: Problems) -> set[str]:
    """
    Return the tables that can be read.

    Raises:
        SourceError: It is not a database of MLflow, or lacks the tables without which there are no runs.
    """
    found: dict[str, set[str]] = {}
    for table in _TABLES:
        try:
            found[table] = database.columns(table)
        except SourceError as error:
            if table in ("experiments", "runs"):
                raise
            problems.leave_out(f"the table {table}", str(error))
    if missing := sorted(table for table, columns in found.items() if not columns):
        raise SourceError(f"{path} is not a database of MLflow: it has no table {', '.join(missing)}.")
    return set(found)


def _rows(database: Database, problems: Problems) -> list[dict[str, Any]]:
    """Return the rows of runs, each with the name of its experiment; rows after damage are lost."""
    names = {}
    for row in database.rows("SELECT experiment_id, name FROM experiments"):
        names[row["experiment_id"]] = row["name"]
    rows: list[dict[str, Any]] = []
    try:
        for row in database.rows("SELECT * FROM runs"):
            rows.append({**row, "experiment": names.get(row["experiment_id"])})  # noqa: PERF401  # it ends at damage
    except (sqlite3.Error, SourceError) as error:
        if not rows:
            raise
        problems.leave_out("the part of the database after the runs that were found", str(error))
    return rows


def _tags(database: Database, problems: Problems) -> dict[str, dict[str, str]]:
    tags: dict[str, dict[str, str]] = {}
    try:
        for run, key, value in database.rows("SELECT run_uuid, key, value FROM tags ORDER BY run_uuid, key"):
            tags.setdefault(run, {})[_text(key)] = _text(value)
    except (sqlite3.Error, SourceError) as error:
        problems.leave_out("a part of the tags", str(error))
    return tags


def _text(value: object) -> str:
    """Return a value of a text column as text: SQLite keeps any type in any column."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None else str(value)


def _run(
    files: SourceFiles,
    path: Path,
    snapshot: Snapshot,
    row: dict[str, Any],
    every: dict[str, dict[str, str]],
    tables: set[str],
) -> SourceRun:
    tags = every.get(row["run_uuid"], {})
    start = _seconds(row["start_time"])
    return SourceRun(
        tracker=mlflow.TRACKER,
        id=row["run_uuid"],
        experiment=row["experiment"] or row["experiment_id"],
        name=row.get("name") or tags.get(mlflow.NAME_TAG) or None,
        start_time=start,
        end_time=_seconds(row["end_time"]) or None,
        status=mlflow.status_of(row["status"], tags),
        parent=tags.get(mlflow.PARENT_TAG),
        script=tags.get(mlflow.SOURCE_TAG) or row["source_name"] or None,
        path=path,
        files=files,
        records=partial(_contents, files, path, snapshot, row, tags, tables, start),
    )


def _seconds(milliseconds: Any) -> float:
    return mlflow.checked_time(milliseconds) / 1_000 if milliseconds else 0.0


def _contents(
    files: SourceFiles,
    path: Path,
    snapshot: Snapshot,
    row: dict[str, Any],
    tags: dict[str, str],
    tables: set[str],
    start: float,
    problems: Problems,
) -> Iterator[records.Record]:
    end = start
    if tags:
        yield records.Tags(tags=tags, time=start)
    try:
        with snapshot.opened() as database:
            for record in _values(database, tables, row["run_uuid"], start, problems):
                end = max(end, record.time)
                yield record
    except (sqlite3.Error, SourceError) as error:
        problems.leave_out("a part of the run", f"the database is damaged: {error}")
    ids = (str(row["experiment_id"]), row["run_uuid"])
    near = [
        path.parent / folder / "/".join(ids) / "artifacts"
        for folder in ("mlartifacts", "mlruns")
        if all(map(mlflow.is_id, ids))
    ]
    yield from mlflow.artifacts(files, _text(row["artifact_uri"]), near, end, problems)


def _values(
    database: Database, tables: set[str], run_id: str, start: float, problems: Problems
) -> Iterator[records.Record]:
    query = "SELECT key, value FROM params WHERE run_uuid = ? ORDER BY key"
    rows = database.rows(query, run_id) if "params" in tables else ()
    if params := {_text(key): mlflow.param(_text(value)) for key, value in rows}:
        yield records.Params(params=params, time=start)
    query = "SELECT timestamp, step, key, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY timestamp, step, key"
    if "metrics" in tables:
        yield from mlflow.grouped(_points(database.rows(query, run_id), problems))


def _points(rows: Iterator[sqlite3.Row], problems: Problems) -> Iterator[tuple[int, int, str, float]]:
    for timestamp, step, key, value, is_nan in rows:
        try:
            yield (
                mlflow.checked_time(timestamp),
                step if isinstance(step, int) else 0,
                _text(key),
                _value(value, is_nan),
            )
        except (TypeError, ValueError):
            problems.add("a point of a metric is damaged")


def _value(value: float, is_nan: object) -> float:
    if is_nan:
        return float("nan")
    return float("inf") * (1 if value > 0 else -1) if abs(value) == _INFINITY else value
