"""The points of runs as one table in a file."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.runs import Store
from refunc.runs.errors import PackageNeededError
from refunc.runs.points_file import COLUMNS, curves, export_points

WriteRun = Callable[..., Path]
VALUES = [0.5, math.nan, math.inf, 0.125]


@pytest.fixture
def store(write_run: WriteRun, tmp_path: Path) -> Store:
    def point(step: int | None, epoch: int | None = None, **metrics: float) -> dict[str, Any]:
        fields = {"kind": "metrics", "metrics": metrics, "step": step, "epoch": epoch}
        return {key: value for key, value in fields.items() if value is not None}

    write_run("a", [point(step, loss=value) for step, value in enumerate(VALUES)], run_name="=1+1", start_time=1.0)
    write_run("b", [point(None, 3, **{"val/loss": 1.0}), point(7, loss=2.0)], start_time=2.0)
    write_run("c", start_time=3.0)
    return Store(tmp_path / "experiments")


def rows(path: Path, format: str) -> list[dict[str, Any]]:
    if format == "parquet":
        import pyarrow.parquet

        return list(pyarrow.parquet.read_table(path).to_pylist())
    if format == "csv":
        with open(path, newline="") as file:
            return list(csv.DictReader(file))
    text = path.read_text()
    return [json.loads(line) for line in text.splitlines()] if format == "jsonl" else list(json.loads(text))


@pytest.mark.parametrize(
    "format", [pytest.param("parquet", marks=[pytest.mark.once, pytest.mark.extras]), "csv", "jsonl", "json"]
)
def test_all_points_of_all_runs(store: Store, tmp_path: Path, format: str) -> None:
    path = tmp_path / f"points.{format}"

    count = export_points(lambda: curves(store), path, format)

    found = rows(path, format)
    assert count == len(found) == 6
    assert all(tuple(row) == COLUMNS for row in found)
    assert [row["metric"] for row in found] == ["loss"] * 4 + ["val/loss", "loss"]
    values = ["nan" if str(row["value"]).lower() == "nan" else str(row["value"]) for row in found]
    assert values == ["0.5", "nan", "Infinity" if "json" in format else "inf", "0.125", "1.0", "2.0"]
    nothing = "" if format == "csv" else None
    assert (found[4]["step"], found[0]["epoch"], str(found[4]["epoch"])) == (nothing, nothing, "3")
    assert found[0]["run_name"] == ("'=1+1" if format == "csv" else "=1+1")


@pytest.mark.parametrize(
    "format", [pytest.param("parquet", marks=[pytest.mark.once, pytest.mark.extras]), "csv", "jsonl", "json"]
)
def test_of_nothing_it_is_an_empty_table(tmp_path: Path, format: str) -> None:
    path = tmp_path / "points"

    assert export_points(lambda: curves([]), path, format) == 0
    assert rows(path, format) == []


def test_metrics_and_points_can_be_chosen(store: Store) -> None:
    assert [series.name for _, series in curves(store, {"val/loss"})] == ["val/loss"]
    assert max(len(series) for _, series in curves(store, max_points=5)) == 4


@pytest.mark.once
@pytest.mark.extras
def test_parquet_has_row_groups_of_bounded_size(
    write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet

    monkeypatch.setattr("refunc.runs.table_file._GROUP", 100)
    write_run("long", [{"kind": "metrics", "step": n, "metrics": {"loss": n, "acc": n}} for n in range(250)])

    export_points(lambda: curves(Store(tmp_path / "experiments")), tmp_path / "p.parquet", "parquet")

    file = pyarrow.parquet.ParquetFile(tmp_path / "p.parquet")
    assert file.metadata.num_rows == 500
    assert max(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)) == 100


def test_a_file_that_is_there_stays_when_it_fails(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("before")

    def broken() -> Any:
        yield from list(curves(store))[:1]
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        export_points(broken, path, "csv")
    assert (path.read_text(), list(tmp_path.glob(".*"))) == ("before", [])


def test_what_is_no_format_and_what_is_not_installed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="'xlsx' is not an export format"):
        export_points(list, tmp_path / "x", "xlsx")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(PackageNeededError, match="export to parquet needs pyarrow"):
        export_points(list, tmp_path / "x", "parquet")
    assert not (tmp_path / "x").exists()
