"""The runs that `reading.py` reads: written with refunc's own writer, and their points as other packages have them."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any


def write_run(store: Path, name: str, metrics: int, steps: int) -> None:
    """Write a run of *metrics* metrics with *steps* points each."""
    from refunc.logging import ExperimentTracker, MLLogger

    logger = MLLogger("bench", level="CRITICAL")
    names = [f"metric{number}" for number in range(metrics)]
    with ExperimentTracker("reading", name, log_dir=store, logger=logger) as tracker:
        tracker.log_hyperparams({"lr": 10 ** -(len(name) % 5), "layers": 3})
        for step in range(steps):
            tracker.log_metrics({name: 1 / (1 + step + at) for at, name in enumerate(names)}, step=step)


def write_parquet(run: Any, path: Path) -> None:
    """Write the points of *run* as a table: step, time, and a column a metric."""
    import pyarrow
    import pyarrow.parquet

    series = run.metrics()
    first = next(iter(series.values())).to_arrow()
    columns = {"step": first["step"], "time": first["time"]}
    columns |= {name: found.to_arrow()["value"] for name, found in series.items()}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def write_mlflow(run: Any, client: Any, database: Path) -> str:
    """Make an MLflow run of the points of *run* and return its id."""
    run_id: str = client.create_run("0").info.run_id
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for name, series in run.metrics().items():
            connection.executemany(
                "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
                (
                    (name, value, int(moment * 1_000), run_id, step)
                    for (step, value), moment in zip(series, series.times, strict=True)
                ),
            )
    return run_id


def copy_runs(store: Path, count: int) -> None:
    """Make *count* runs of the only one in *store*, each with its own id and start."""
    [first] = store.iterdir()
    birth = json.loads((first / "run.json").read_text())
    for number in range(1, count):
        folder = store / f"{first.name[:-8]}{number:08}"
        shutil.copytree(first, folder)
        given = {"run_id": f"{number:08}", "run_name": f"run{number}", "start_time": birth["start_time"] + number}
        (folder / "run.json").write_text(json.dumps({**birth, **given}))


def write_names(store: Path, count: int) -> None:
    """Write a run with one point of each of *count* metrics."""
    from refunc.logging import ExperimentTracker, MLLogger

    with ExperimentTracker("reading", "names", log_dir=store, logger=MLLogger("bench", level="CRITICAL")) as tracker:
        for number in range(count):
            tracker.log_metrics({f"example/{number}": 1.0}, step=number)
