"""A store as a table, and finding runs in it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.runs import Store, open_store
from refunc.runs.errors import ExpressionError
from refunc.runs.flat import flat
from refunc.runs.table import columns_of, to_pandas

WriteRun = Callable[..., Path]
END = {"kind": "end", "status": "completed", "duration": 12.5}


@pytest.fixture
def store(write_run: WriteRun, tmp_path: Path) -> Store:
    def line(kind: str, **values: Any) -> dict[str, Any]:
        return {"kind": kind, kind: values}

    accuracy = [line("metrics", accuracy=value) for value in (0.5, 0.95, 0.9)]
    goal = {"kind": "define", "name": "accuracy", "goal": "max"}
    write_run("slow", [line("params", lr=0.001, opt={"name": "adam"}), goal, *accuracy, END], start_time=1.0)
    write_run("fast", [line("params", lr=0.1, opt="sgd"), line("metrics", accuracy=0.7), END], start_time=2.0)
    write_run("dead", [line("params", lr=0.01, big=2**70), line("metrics", loss=math.nan)], start_time=3.0)
    write_run("empty", start_time=4.0)
    return Store(tmp_path / "experiments")


def names(runs: list[Any]) -> list[str]:
    return [run.run_name for run in runs]


def test_finding(store: Store) -> None:
    assert names(store.find("params.lr < 0.05 and metrics.accuracy.max > 0.9 and status == 'completed'")) == ["slow"]
    assert names(store.find("params.opt.name == 'adam'")) == ["slow"]
    assert names(store.find("status == 'crashed'")) == ["dead", "empty"]
    assert names(store.find("metrics.loss.nans > 0")) == ["dead"]
    assert names(store.find("metrics.accuracy.best == 0.95")) == ["slow"]
    assert names(store.find()) == ["slow", "fast", "dead", "empty"]


_PARTS = st.sampled_from(["a", "b", "a.b", "b.a", "a.b.a", "a_2", "a.b_2"])


@given(st.recursive(st.integers(), lambda inner: st.dictionaries(_PARTS, inner, min_size=1, max_size=4), max_leaves=12))
def test_every_nested_value_has_a_name_of_its_own(values: Any) -> None:
    def leaves(value: Any) -> list[int]:
        return [leaf for item in value.values() for leaf in leaves(item)] if isinstance(value, dict) else [value]

    params = {"a": values, "a.b": 7}

    found = list(flat(params))

    assert [value for _, value in found] == leaves(params)
    assert len(dict(found)) == len(found)
    assert dict(found)["a.b"] == 7


@pytest.mark.parametrize("params", [{"a.b": 1, "a": {"b": 2}}, {"a": {"b": 2}, "a.b": 1}])
def test_a_name_with_a_dot_and_a_nested_one_are_both_reachable(
    params: dict[str, Any], write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("dots", [{"kind": "params", "params": params}])
    store = Store(tmp_path / "experiments")

    assert store.find("params['a.b'] == 1 and params.a.b == 2 and params['a.b_2'] == 2")
    assert {name: value for name, value in store.to_rows()[0].items() if name.startswith("params")} == {
        "params.a.b": 1,
        "params.a.b_2": 2,
    }


@pytest.mark.once
def test_a_strangers_many_equal_names_take_no_time() -> None:
    def split(depth: int) -> Any:
        return {"a": split(depth - 1), "a.a": split(depth - 2)} if depth > 1 else 1 if depth == 1 else {"a": 1}

    def steps(depth: int) -> tuple[float, int]:
        params, begin = split(depth), time.process_time()
        return -begin + (time.process_time() if (count := len(list(flat(params)))) else 0), count

    (few, fewer), (many, more) = steps(16), steps(22)

    assert more > 10 * fewer
    assert many < 60 * max(few, 0.005)


def test_ordering_puts_what_has_no_value_last(store: Store) -> None:
    assert names(store.find(order_by="-metrics.accuracy.max")) == ["slow", "fast", "dead", "empty"]
    assert names(store.find(order_by="metrics.accuracy.max", limit=1)) == ["fast"]
    assert names(store.find(order_by="run_name")) == ["dead", "empty", "fast", "slow"]
    assert names(store.find(order_by="-run_name")) == ["slow", "fast", "empty", "dead"]
    assert names(store.find(order_by="metrics.loss")) == ["slow", "fast", "dead", "empty"]  # NaN has no order


def test_a_bad_expression_raises_before_anything_is_read(tmp_path: Path) -> None:
    for arguments in ({"expression": "lr <"}, {"order_by": "lr"}):
        with pytest.raises(ExpressionError):
            Store(tmp_path / "nowhere").find(**arguments)  # type: ignore[arg-type]


def test_rows(store: Store) -> None:
    slow, fast, dead, empty = store.to_rows()

    assert (slow["run_name"], slow["status"], slow["duration"], slow["start_time"]) == ("slow", "completed", 12.5, 1.0)
    assert (slow["params.lr"], slow["params.opt.name"], fast["params.opt"]) == (0.001, "adam", "sgd")
    accuracy = {name: value for name, value in slow.items() if name.startswith("metrics.")}
    assert accuracy == {
        f"metrics.accuracy.{part}": v
        for part, v in zip(("last", "min", "max", "best"), (0.9, 0.5, 0.95, 0.95), strict=True)
    }
    assert (dead["status"], math.isnan(dead["metrics.loss.last"]), dead["metrics.loss.min"]) == ("crashed", True, None)
    assert (empty["status"], empty["duration"]) == ("crashed", None)


@pytest.mark.once
@pytest.mark.extras
@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_tables_of_other_libraries_have_a_row_a_run(store: Store, library: str) -> None:
    table = getattr(store, f"to_{library}")()

    assert table.shape[0] == 4
    assert [str(name) for name in table["run_name"]] == ["slow", "fast", "dead", "empty"]
    names = table.column_names if library == "arrow" else list(table.columns)
    assert {"params.lr", "params.big", "params.opt", "metrics.accuracy.max", "status", "duration"} <= set(names)


@pytest.mark.once
@pytest.mark.extras
@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_runs_that_were_found_are_a_table_like_the_stores(store: Store, library: str) -> None:
    name = store.runs()[0].run_name
    found = store.find(f"run_name == {name!r}")

    table = getattr(found, f"to_{library}")()
    assert found.to_rows() == [row for row in store.to_rows() if row["run_name"] == name]
    assert table.shape[0] == len(found) > 0
    assert store.find("run_name == 'nobody'").to_rows() == []


@pytest.mark.once
@pytest.mark.extras
def test_whole_numbers_stay_whole_where_some_are_missing() -> None:
    frame = to_pandas([{"params.size": 32, "params.seed": 1}, {"params.seed": 2}])

    assert (str(frame["params.size"].dtype), str(frame["params.seed"].dtype)) == ("Int64", "int64")
    assert (frame["params.size"][0], frame["params.size"].isna().tolist()) == (32, [False, True])


@pytest.mark.once
@pytest.mark.extras
@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_a_name_that_is_no_text_does_not_cost_the_table(library: str, write_run: Callable[..., Path]) -> None:
    """As a shell gives one of bytes that are no UTF-8."""
    tags = {"kind": "tags", "tags": {"lone \udce9": "caf\udce9"}}
    folder = write_run("odd__aaaaaaaa", [tags], run_name="caf\udce9")

    table = getattr(open_store(folder.parent), f"to_{library}")()

    assert [str(name) for name in table["run_name"]] == ["caf\\udce9"]


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert (Store(tmp_path / "none").to_rows(), Store(tmp_path / "none").find("status == 'x'")) == ([], [])


def test_params_that_another_tracker_wrote_as_texts_are_columns_of_numbers() -> None:
    rows: list[dict[str, Any]] = [
        {"params.lr": "1e-3", "params.seed": "7", "params.hash": "12e5", "params.clip": "inf", "tags.fold": "1"},
        {"params.lr": 0.1, "params.seed": "8", "params.hash": "ab12", "params.clip": "nan", "params.mixed": "1"},
        {"params.lr": ".5", "params.id": "007", "params.clip": "2.0", "params.mixed": True, "params.fill": "nan"},
    ]

    columns = columns_of(rows)

    assert columns["params.lr"] == [0.001, 0.1, 0.5]
    assert columns["params.seed"] == [7, 8, None]
    assert columns["params.hash"] == ["12e5", "ab12", None]
    assert repr(columns["params.clip"]) == "[inf, nan, 2.0]"
    assert columns["tags.fold"] == ["1", None, None]
    assert columns["params.id"] == [None, None, "007"]
    assert columns["params.mixed"] == [None, "1", "true"]
    assert columns["params.fill"] == [None, None, "nan"]
