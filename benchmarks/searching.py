"""
Stores of MLflow and of trackio with many runs, and questions to them, for the growth of answers in `reading.py`.

Both have the same runs as refunc's: one metric of 100 points, two params. One run is logged by the tracker's own call,
and its rows are copied within SQLite, since logging ten thousand takes hours.

    python benchmarks/searching.py mlflow|trackio FOLDER 10000
    python benchmarks/searching.py mlflow|trackio FOLDER new|where|sort

makes such a store; answers one question and prints the processor's seconds that it took, the start of Python and the
import left out.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

#: The questions: the newest runs, those with a good metric that have ended, and the best.
QUESTIONS = ("new", "where", "sort")
_BAR = 0.05


def write_mlflow(place: Path, count: int) -> None:
    """Make an MLflow store on SQLite with *count* runs."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    run = client.create_run("0", run_name="run")
    metrics = [Metric("metric0", 1 / (1 + step), 1_000 + step, step) for step in range(100)]
    client.log_batch(run.info.run_id, metrics, [Param("lr", "0.001"), Param("layers", "3")])
    client.set_terminated(run.info.run_id)
    _copy(place / "mlflow.db", ("runs", "metrics", "latest_metrics", "params", "tags"), "run_uuid", count)


def write_trackio(place: Path, count: int) -> None:
    """Make a trackio store with *count* runs."""
    os.environ["TRACKIO_DIR"] = str(place)
    from trackio.sqlite_storage import SQLiteStorage

    points = [{"metric0": 1 / (1 + step)} for step in range(100)]
    config = {"lr": 0.001, "layers": 3, "status": "completed"}
    SQLiteStorage.bulk_log("bench", "run", points, list(range(100)), config=config, run_id="0" * 32)
    _copy(SQLiteStorage.get_project_db_path("bench"), ("metrics", "configs"), "run_id", count)


def _copy(database: Path, tables: tuple[str, ...], key: str, count: int) -> None:
    """Copy the rows of the only run of *database* to others, whose metrics are a little larger each."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for table in tables:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
            values = {key: "printf('%032x', number)"}
            if key == "run_uuid" and table in ("metrics", "latest_metrics"):
                values["value"] = "value + number / 1e9"
            columns, picked = ", ".join(names), ", ".join(values.get(name, name) for name in names)
            connection.execute(
                "WITH RECURSIVE numbers(number) AS"
                f" (SELECT 1 UNION ALL SELECT number + 1 FROM numbers LIMIT {count - 1})"
                f" INSERT INTO {table} ({columns}) SELECT {picked} FROM {table}, numbers"
            )


def ask_mlflow(place: Path) -> dict[str, Any]:
    """Return a function for each question."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    client.search_runs(["0"], "tags.none = 'x'", max_results=1)  # its start
    where = f"metrics.metric0 < {_BAR} and attributes.status = 'FINISHED'"
    return {
        "new": lambda: client.search_runs(["0"], max_results=20, order_by=["attributes.start_time DESC"]),
        "where": lambda: client.search_runs(["0"], where, max_results=20, order_by=["attributes.start_time DESC"]),
        "sort": lambda: client.search_runs(["0"], max_results=20, order_by=["metrics.metric0 DESC"]),
    }


def ask_trackio(place: Path) -> dict[str, Any]:
    """Return a function for each question; trackio has SQL for questions that its lists cannot answer."""
    os.environ["TRACKIO_DIR"] = str(place)
    from trackio import Api
    from trackio.sqlite_storage import SQLiteStorage

    last = "SELECT run_id, max(step), json_extract(metrics, '$.metric0') AS last FROM metrics GROUP BY run_id"
    where = f"SELECT run_id FROM ({last}) JOIN configs USING (run_id) WHERE last < {_BAR}"
    where += " AND json_extract(config, '$.status') = 'completed' ORDER BY created_at DESC LIMIT 20"
    best = "SELECT run_id, max(json_extract(metrics, '$.metric0')) AS best FROM metrics"
    best += " GROUP BY run_id ORDER BY best DESC LIMIT 20"
    return {
        "new": lambda: [run.config for run in list(Api().runs("bench"))[-20:]],
        "where": lambda: SQLiteStorage.query_project("bench", where)["rows"],
        "sort": lambda: SQLiteStorage.query_project("bench", best)["rows"],
    }


def main() -> None:
    name, place, question = sys.argv[1:]
    if question.isdecimal():
        {"mlflow": write_mlflow, "trackio": write_trackio}[name](Path(place), int(question))
        return
    ask = {"mlflow": ask_mlflow, "trackio": ask_trackio}[name](Path(place))[question]
    begin = time.process_time()
    found = ask()
    took = time.process_time() - begin
    assert len(found) == 20, len(found)
    print(took)


if __name__ == "__main__":
    main()
