"""The one-liners of docs/reference/run-format.md, for jq, DuckDB, pandas and polars, open a run complete."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.docs.run_format import block, run_of

pytestmark = pytest.mark.once

POINTS = 35_000

#: A run in which metrics appear late and everything changes its type.
LONG_RUN = f"""
import math, sys
import refunc.journal.writer
from refunc.logging import MLLogger, experiment_context
refunc.journal.writer.SEGMENT_BYTES = int(sys.argv[1])
logger = MLLogger("training", level="WARNING")
with experiment_context("vision", "long", logger=logger) as run:
    logger.log_hyperparams({{"lr": 0.1, "depth": 3, "optimizer": {{"name": "adam"}}}})
    logger.log_hyperparams({{"lr": "0.1", "depth": [3, 4], "optimizer": None}})
    for value in (1, 1.5, math.nan, None, "text", [1, 2]):
        logger.log_metrics({{"mixed": value}}, step=0)
    logger.warning("one", extra={{"x": 1}})
    logger.warning("two", extra={{"x": {{"y": [1, "2", None]}}}})
    for step in range({POINTS}):
        logger.log_metrics({{"loss": 1 / (step + 1)}}, step=step)
    logger.warning("three", extra={{"x": "text", "é": "ü"}})
    logger.log_metrics({{"val/late": 0.1}}, step={POINTS})
    logger.warning("four", extra={{"other": [1, 2]}})
"""


@pytest.fixture(scope="module", params=[16 << 20, 1 << 20], ids=["one segment", "several segments"])
def long_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of more than 30,000 lines."""
    run = run_of(LONG_RUN, tmp_path_factory.mktemp("long"), str(request.param))
    assert (len(list((run / "journal").iterdir())) > 1) is (request.param == 1 << 20)
    return run


LOSSES = [1 / (step + 1) for step in range(POINTS)]
PARAMS = [
    {"lr": 0.1, "depth": 3, "optimizer": {"name": "adam"}},
    {"lr": "0.1", "depth": [3, 4], "optimizer": None},
]
EXTRA = [{"x": 1}, {"x": {"y": [1, "2", None]}}, {"x": "text", "é": "ü"}, {"other": [1, 2]}]


def test_jq_prints_every_value(long_run: Path, require) -> None:
    require(shutil.which("jq") is not None, "apt-get install jq")

    done = subprocess.run(
        ["sh", "-c", block("needs: jq", "sh")], cwd=long_run, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[2] for row in rows if row[1] == "mixed"] == ["1", "1.5", ""]
    assert [float(row[2]) for row in rows if row[1] == "loss"] == pytest.approx(LOSSES)
    assert [row for row in rows if row[1] == "val/late"] == [[str(POINTS), "val/late", "0.1"]]
    text = subprocess.run(
        ["sh", "-c", r"jq -cR 'fromjson? | .other // .params // .extra // empty' journal/*.jsonl"],
        cwd=long_run,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    others = [{"mixed": None}, {"mixed": "text"}, {"mixed": [1, 2]}]
    assert [json.loads(line) for line in text.splitlines()] == [*PARAMS, *others, *EXTRA]


def after(code: str, run: Path) -> Any:
    """Return the JSON that *code* prints, run in the run's folder in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], cwd=run, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_complete(read: dict[str, Any]) -> None:
    assert read["steps"] == [0] * 6 + [*range(POINTS + 1)]
    assert read["losses"] == pytest.approx(LOSSES, rel=1e-15)  # polars takes the last bit lightly
    assert read["late"] == [[POINTS, 0.1]]
    assert read["mixed"] == [1, 1.5]
    assert read["other"] == [{"mixed": None}, {"mixed": "text"}, {"mixed": [1, 2]}]
    assert read["params"] == PARAMS
    assert read["extra"] == EXTRA


@pytest.mark.extras
def test_duckdb_opens_a_run_complete(long_run: Path, require) -> None:
    require(find_spec("duckdb") is not None, "python -m pip install duckdb")
    query = block("needs: duckdb", "sql")

    read = after(
        f"""
import duckdb, json
run = duckdb.sql({query!r})
def column(text, where):
    rows = duckdb.sql(f"SELECT {{text}} FROM run WHERE {{where}} ORDER BY seq").fetchall()
    return [row[0] for row in rows]
def nested(name): return [json.loads(text) for text in column(name, f"{{name}} IS NOT NULL")]
def metric(name): return column(f"metrics['{{name}}']", f"metrics['{{name}}'] IS NOT NULL")
late = duckdb.sql("SELECT step, metrics['val/late'] FROM run WHERE metrics['val/late'] IS NOT NULL").fetchall()
print(json.dumps({{
    "steps": column("step", "kind = 'metrics'"), "losses": metric("loss"), "mixed": metric("mixed"), "late": late,
    "other": nested("other"), "params": nested("params"), "extra": nested("extra"),
}}))
""",
        long_run,
    )

    assert_complete(read)


@pytest.mark.extras
def test_pandas_opens_a_run_complete(long_run: Path, require) -> None:
    require(find_spec("pandas") is not None, "python -m pip install pandas")

    read = after(
        block("needs: pandas", "python")
        + """
def metric(name): return frame["metrics." + name].dropna().tolist()
late = frame[frame["metrics.val/late"].notna()]
print(json.dumps({
    "steps": [int(step) for step in frame[frame.kind == "metrics"].step],
    "losses": metric("loss"), "mixed": metric("mixed"),
    "late": [[int(late.step.item()), late["metrics.val/late"].item()]],
    "lr": frame["params.lr"].dropna().tolist(), "depth": frame["params.depth"].dropna().tolist(),
    "other": frame["other.mixed"].dropna().tolist(), "x": frame["extra.x"].dropna().tolist(),
    "é": frame["extra.é"].dropna().tolist(), "list": frame["extra.other"].dropna().tolist(),
}))
""",
        long_run,
    )

    assert read["steps"] == [0] * 6 + [*range(POINTS + 1)]
    assert read["losses"] == LOSSES
    assert read["late"] == [[POINTS, 0.1]]
    assert read["mixed"] == [1, 1.5]
    assert read["other"] == ["text", [1, 2]]  # a null is a null, whatever column it stands in
    assert (read["lr"], read["depth"]) == ([0.1, "0.1"], [3, [3, 4]])
    assert (read["x"], read["é"], read["list"]) == ([1, {"y": [1, "2", None]}, "text"], ["ü"], [[1, 2]])


@pytest.mark.extras
def test_polars_opens_a_run_complete(long_run: Path, require) -> None:
    require(find_spec("polars") is not None, "python -m pip install polars")

    read = after(
        block("needs: polars", "python")
        + """
import json
points = frame.filter(kind="metrics")
def metric(path):
    return points.select("step", value=polars.col("metrics").str.json_path_match(path).cast(float)).drop_nulls()
def nested(name): return [json.loads(text) for text in frame[name].drop_nulls().to_list()]
print(json.dumps({
    "steps": points["step"].to_list(), "losses": metric("$.loss")["value"].to_list(),
    "mixed": metric("$.mixed")["value"].to_list(), "late": metric("$['val/late']").rows(),
    "other": nested("other"), "params": nested("params"), "extra": nested("extra"),
}))
""",
        long_run,
    )

    assert_complete(read)
