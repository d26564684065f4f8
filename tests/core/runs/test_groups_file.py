"""The curves of groups in a file: each row against numpy, for runs with random steps."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from refunc.runs.exporting import export_groups_of
from refunc.runs.signature import signature_of
from refunc.runs.store import Store

np = pytest.importorskip("numpy")

pytestmark = [pytest.mark.once, pytest.mark.extras]

WriteRun = Callable[..., Path]
#: A run: its model, and the values of its metric by step.
RUNS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.dictionaries(st.integers(0, 12), st.floats(-1e6, 1e6) | st.just(math.nan), max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def lines_of(model: str | None, points: dict[int, float]) -> list[dict[str, Any]]:
    params = [{"kind": "params", "params": {"model": model}}] if model else []
    metrics = [{"kind": "metrics", "step": step, "metrics": {"loss": points[step]}} for step in sorted(points)]
    return [*params, *metrics, {"kind": "metrics", "step": 0, "metrics": {"other": 1.0}}]


def exported(store: Store, path: Path, *, by: str = "params.model", **asked: Any) -> list[dict[str, Any]]:
    wanted = {"metrics": ["loss"], "most": None, "processes": 0, **asked}
    found = export_groups_of(store.listing(), str(path), path.suffix[1:], names=[by], **wanted)
    if path.suffix == ".csv":
        with open(path, newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
    elif path.suffix == ".parquet":
        rows = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    else:
        text = path.read_text()
        rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    assert found.count == len(rows)
    return rows


def described(values: list[float]) -> dict[str, Any]:
    quartiles = np.quantile(values, [0.25, 0.5, 0.75])
    return {
        "n": len(values),
        "mean": np.mean(values),
        "std": np.std(values, ddof=1) if len(values) > 1 else None,
        "q25": quartiles[0],
        "median": quartiles[1],
        "q75": quartiles[2],
        "min": min(values),
        "max": max(values),
    }


def expected(runs: list[tuple[str | None, dict[int, float]]]) -> dict[tuple[str | None, int], dict[str, Any]]:
    """Return the facts by group and step, from the runs' points themselves."""
    rows: dict[tuple[str | None, int], dict[str, Any]] = {}
    for model in dict.fromkeys(model for model, _ in runs):
        curves = [sorted((at, y) for at, y in points.items() if y == y) for of, points in runs if of == model]
        for step in sorted({at for curve in curves for at, _ in curve}):
            reached = [curve for curve in curves if curve and curve[0][0] <= step <= curve[-1][0]]
            rows[model, step] = described([float(np.interp(step, *zip(*curve, strict=True))) for curve in reached])
    return rows


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=RUNS, format=st.sampled_from(["csv", "jsonl", "json", "parquet"]))
def test_each_row_describes_the_runs_that_reach_its_step(
    runs: list[tuple[str | None, dict[int, float]]],
    format: str,
    write_run: WriteRun,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    assume(any(model for model, _ in runs) and any(points for _, points in runs))
    folder = tmp_path_factory.mktemp("groups")
    for at, (model, points) in enumerate(runs):
        write_run(folder / "experiments" / f"r{at}", lines_of(model, points), start_time=1_000.0 + at)
    store = Store(folder / "experiments")
    wanted = expected(runs)

    rows = exported(store, folder / f"groups.{format}")

    assert [(row["params.model"] or None, float(row["x"])) for row in rows] == list(wanted)
    for row, facts in zip(rows, wanted.values(), strict=True):
        assert (row["metric"], row["axis"]) == ("loss", "step")
        for name, value in facts.items():
            given = None if row[name] in ("", None) else float(row[name])
            assert given == (value if value is None else pytest.approx(value, rel=1e-9, abs=1e-6)), name


def test_curves_over_other_axes_and_a_bound(write_run: WriteRun, tmp_path: Path) -> None:
    """Runs that share no value of their axis are read at each other's."""
    for at in range(3):
        lines = [
            {"kind": "define", "name": "loss", "step_metric": "samples"},
            *(
                {"kind": "metrics", "step": i, "metrics": {"samples": 10.0 * i + at, "loss": 2.0 * i}}
                for i in range(50)
            ),
        ]
        write_run(f"r{at}", [{"kind": "params", "params": {"layers": [1, 2]}}, *lines])

    whole = exported(Store(tmp_path / "experiments"), tmp_path / "a.jsonl", by="params.layers")
    some = exported(Store(tmp_path / "experiments"), tmp_path / "b.jsonl", by="params.layers", most=7)

    assert {row["axis"] for row in whole} == {"samples"}
    assert [row["x"] for row in whole] == sorted(10.0 * i + at for at in range(3) for i in range(50))
    assert {row["params.layers"] for row in whole} == {"[1, 2]"}
    assert [row["x"] for row in some] == [whole[round(at * 149 / 6)]["x"] for at in range(7)]
    assert [row["n"] for row in whole[:3]] == [1, 2, 3]
    assert all(row in whole for row in some)


@pytest.mark.parametrize(
    ("format", "keys"),
    [
        ("csv", ["-0.5", "auto", "true", "[1, 2]"]),
        ("jsonl", [-0.5, "auto", "true", "[1, 2]"]),
        ("parquet", ["-0.5", "auto", "true", "[1, 2]"]),
    ],
)
def test_a_number_beside_a_text_is_one_where_columns_have_no_kind(
    format: str, keys: list[Any], write_run: WriteRun, tmp_path: Path
) -> None:
    """As a text, it got the apostrophe of formulas in CSV."""
    for at, value in enumerate((-0.5, "auto", True, [1, 2])):
        write_run(f"r{at}", [{"kind": "params", "params": {"lr": value}}, *lines_of(None, {1: 2.0})])

    rows = exported(Store(tmp_path / "experiments"), tmp_path / f"groups.{format}", by="params.lr")

    assert [row["params.lr"] for row in rows] == keys


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("steps", [[1, 2**60 + 1], [2**60 + 1, 1]], ids=["rising", "falling"])
def test_a_large_step_is_in_each_format(format: str, steps: list[int], write_run: WriteRun, tmp_path: Path) -> None:
    """Float64 lacks most whole numbers beyond 2**53, and pyarrow refuses those unless it is told to round."""
    points = [{"kind": "metrics", "step": step, "metrics": {"loss": 1.0}} for step in steps]
    write_run("r", [{"kind": "params", "params": {"model": "a"}}, *points])

    rows = exported(Store(tmp_path / "experiments"), tmp_path / f"groups.{format}")

    expected = sorted(map(float if format == "parquet" else int, steps))
    assert [int(row["x"]) if format == "csv" else row["x"] for row in rows] == expected


def test_more_metrics_ask_the_files_of_a_run_no_more_often(
    write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def asking(folder: Path) -> Any:
        asked.append(folder)
        return signature_of(folder)

    monkeypatch.setattr("refunc.runs.measured.signature_of", asking)
    counts = []
    for many in (3, 300):
        metrics = {f"m{number}": 1.0 for number in range(many)}
        for at in range(2):
            lines = [{"kind": "params", "params": {"model": "a"}}, {"kind": "metrics", "step": 0, "metrics": metrics}]
            write_run(tmp_path / f"{many}" / f"r{at}", lines)
        asked.clear()
        assert len(exported(Store(tmp_path / f"{many}"), tmp_path / "g.jsonl", metrics=list(metrics))) == many
        counts.append(len(asked))

    assert counts[0] == counts[1]
