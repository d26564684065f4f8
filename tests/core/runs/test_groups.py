"""Runs in groups: the same numbers as plain Python gives, and curves of unequal steps on one axis."""

from __future__ import annotations

import json
import math
import shutil
import statistics
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refunc.logging import ExperimentTracker
from refunc.runs import ExpressionError, Run, Runs, Store, UnknownMetricError, open_store
from refunc.runs.bands import _axis, _read
from refunc.runs.sample import described, mean_of, quantile_of, spread_of

pytestmark = pytest.mark.once


def training(store: Path, model: str | None, losses: dict[int, float], *, epochs: bool = False, seed: int = 0) -> None:
    run = ExperimentTracker("digits", f"{model}-{seed}", store)
    run.log_params({"seed": seed} if model is None else {"model": model, "seed": seed})
    for x, loss in losses.items():
        run.log_metrics({"val/loss": loss}, **({"epoch": x} if epochs else {"step": x}))
    run.end_run()


@pytest.fixture
def runs(tmp_path: Path) -> Store:
    training(tmp_path, "cnn", {0: 1.0, 10: 0.5, 20: 0.2}, seed=0)
    training(tmp_path, "cnn", {0: 2.0, 5: 1.5, 20: 0.4}, seed=1)
    training(tmp_path, "mlp", {0: 3.0, 10: 2.0}, seed=0)
    training(tmp_path, "mlp", {0: 3.0, 10: math.nan}, seed=1)
    training(tmp_path, None, {}, seed=0)
    return open_store(tmp_path)


def test_a_metric_over_each_group(runs: Store) -> None:
    loss = runs.group_by("params.model").metric("val/loss")
    assert loss.values() == {("cnn",): [0.2, 0.4], ("mlp",): [2.0], (None,): []}
    assert loss.mean() == {("cnn",): pytest.approx(0.3), ("mlp",): 2.0, (None,): None}
    assert loss.std() == {("cnn",): pytest.approx(statistics.stdev([0.2, 0.4])), ("mlp",): None, (None,): None}
    assert loss.count() == {("cnn",): 2, ("mlp",): 1, (None,): 0}
    assert loss.quantile(0.5) == loss.median()
    assert runs.group_by("params.model").metric("val/loss.max").max()[("cnn",)] == 2.0


def test_a_table_has_a_row_a_group(runs: Store) -> None:
    rows = runs.group_by("params.model", "experiment_name").metric("val/loss").to_rows()
    assert [(row["params.model"], row["experiment_name"], row["runs"], row["n"]) for row in rows] == [
        ("cnn", "digits", 2, 2),
        ("mlp", "digits", 2, 1),
        (None, "digits", 1, 0),
    ]
    assert rows[2]["mean"] is None
    frame = runs.find("params.seed == 0").group_by("params.model").metric("val/loss").to_pandas()
    assert list(frame["mean"].dropna()) == [0.2, 2.0]


def test_curves_of_unequal_steps_are_read_between_their_ends_and_not_beyond(runs: Store) -> None:
    cnn, mlp = runs.find("params.model != 'none'").group_by("params.model").metric("val/loss").bands(spread="minmax")
    assert (cnn.key, list(cnn.x), list(cnn.n)) == (("cnn",), [0, 5, 10, 20], [2, 2, 2, 2])
    assert list(cnn.low) == pytest.approx([1.0, 0.75, 0.5, 0.2])
    assert list(cnn.high) == pytest.approx([2.0, 1.5, 1.5 - 1.1 / 3, 0.4])
    assert (list(mlp.x), list(mlp.n), list(mlp.center)) == ([0, 10], [2, 1], [3.0, 2.0])
    assert (mlp.low[1], mlp.high[1]) == (2.0, 2.0)


def test_runs_of_different_axes_share_no_band(tmp_path: Path) -> None:
    training(tmp_path, "cnn", {0: 1.0, 10: 0.5})
    training(tmp_path, "cnn", {1: 1.0, 2: 0.5}, epochs=True, seed=1)
    found = open_store(tmp_path).group_by("params.model").metric("val/loss").bands()
    assert {(band.x_name, tuple(band.x)) for band in found} == {("step", (0, 10)), ("epoch", (1, 2))}


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (lambda runs: runs.group_by(), "give the names to group by"),
        (lambda runs: runs.group_by("params.model").metric("val/loss").quantile(25), "Allowed: 0 to 1"),
        (lambda runs: runs.group_by("params.model").metric("val/loss").bands(center="mode"), "Allowed: mean, median"),
        (lambda runs: runs.group_by("params.model").metric("val/loss").bands(spread="sem"), "std, quartiles, minmax"),
        (lambda runs: runs.find(limit=-1), "limit=-1 is not a whole number of 0 or more"),
        (lambda runs: runs.find(limit="2"), "limit='2' is not a whole number"),
        *(
            (lambda runs, most=most: runs.group_by("run_id").metric("val/loss").bands(max_points=most), "at least 5")
            for most in (-1, 0, 1, 4)
        ),
        (lambda runs: runs["cnn-0"].around("val/loss", "min", steps=-1), "steps: -1 is not a number of steps"),
    ],
)
def test_a_wrong_word_is_told(question: object, said: str, runs: Store) -> None:
    with pytest.raises(ValueError, match=said):
        question(runs)  # type: ignore[operator]
    with pytest.raises(ExpressionError):
        runs.group_by("param.model")


@pytest.mark.parametrize("metric", ["val/los", "val/loss.median", "params.model", ""])
def test_a_metric_that_no_run_has_is_told(metric: str, runs: Store) -> None:
    with pytest.raises(UnknownMetricError, match="none of the runs has a metric"):
        runs.group_by("params.model").metric(metric)


@pytest.mark.parametrize(
    "question",
    [
        lambda runs: runs.find(3),
        lambda runs: runs.find(order_by=["params.model"]),
        lambda runs: runs.find(lambda run: True),
        lambda runs: runs.group_by(["params.model"]),
        lambda runs: runs.group_by("params.model", None),
        lambda runs: runs.group_by("params.model").metric(3),
    ],
)
def test_another_type_is_told(question: Callable[[Store], object], runs: Store) -> None:
    with pytest.raises(TypeError, match=r"(an expression is a text|give the name of a metric).* and not "):
        question(runs)


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        (["1e-3", 0.001, "0.0010"], [0.001]),
        ([16, "16", 16.0, "16.0"], [16]),
        (["nan", math.nan, math.nan], [math.nan]),
        ([True, 1, "1"], [True, 1]),
        (["007", 7, "cnn", "7"], ["007", 7, "cnn"]),
        (["1e-3", "1e-3"], ["1e-3"]),
    ],
    ids=str,
)
def test_a_text_that_reads_as_a_number_is_in_the_group_of_the_number(
    given: list[object], keys: list[object], tmp_path: Path
) -> None:
    """Other trackers keep params as texts; expressions compare these as numbers."""
    for value in given:
        with ExperimentTracker("digits", log_dir=tmp_path) as run:
            run.log_params({"lr": value})
    groups = open_store(tmp_path).group_by("params.lr")

    found = [group.key[0] for group in groups]
    assert list(map(repr, found)) == list(map(repr, keys))
    for group in groups:
        if isinstance(group.key[0], float) and math.isfinite(group.key[0]):
            assert len(group.runs) == len(open_store(tmp_path).find(f"params.lr == {group.key[0]!r}"))


def test_lists_and_nested_values_group_too(tmp_path: Path) -> None:
    for value in ([0.9, 0.99], [0.9, 0.99], [[1], 2], {"name": "adam", "betas": [0.9]}, "adam", None):
        with ExperimentTracker("digits", log_dir=tmp_path) as run:
            run.log_params({"opt": value})
            run.log_metrics({"loss": 0.5}, step=0)
    loss = open_store(tmp_path).group_by("params.opt").metric("loss")

    keys = {key: count for (key,), count in loss.count().items()}
    nested = next(key for key in keys if str(key).startswith("{"))
    assert json.loads(nested) == {"name": "adam", "betas": [0.9]}
    assert keys == {(0.9, 0.99): 2, ((1,), 2): 1, nested: 1, "adam": 1, None: 1}
    assert set(loss.mean().values()) == {0.5}
    assert [len(band) for band in loss.bands()] == [1] * 5
    assert len(loss.to_rows()) == 5


def test_groups_whose_keys_are_equal_do_not_hide_each_other(tmp_path: Path) -> None:
    for value, loss in ((True, 1.0), (1, 2.0), (1, 4.0)):
        with ExperimentTracker("digits", log_dir=tmp_path) as run:
            run.log_params({"amp": value})
            run.log_metrics({"loss": loss}, step=0)
    found = open_store(tmp_path).group_by("params.amp").metric("loss")

    assert [(row["params.amp"], row["n"], row["mean"]) for row in found.to_rows()] == [(True, 1, 1.0), (1, 2, 3.0)]
    for of_each in (found.mean, found.count, found.values):
        with pytest.raises(ValueError, match=r"use to_rows\(\)"):
            of_each()


@pytest.mark.parametrize(
    ("summary", "expected"), [(None, [0.3, 0.2]), ("max", [0.9, 0.8]), ("mean", [0.5, 0.5]), ("none", [])]
)
def test_the_index_has_the_value_that_a_table_shows(
    summary: str | None, expected: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for values in ((0.9, 0.3, 0.3), (0.8, 0.5, 0.2)):
        with ExperimentTracker("digits", log_dir=tmp_path) as run:
            if summary is not None:
                run.define_metric("loss", summary=summary)
            for step, value in enumerate(values):
                run.log_metrics({"loss": value, "loss.min": 7.0}, step=step)

    def found(name: str) -> list[float]:
        (values,) = open_store(tmp_path).group_by("experiment_name").metric(name).values().values()
        return values

    for name, wanted in (("loss", expected), ("loss.min", [7.0, 7.0]), ("loss.max", [0.9, 0.8])):
        assert found(name) == pytest.approx(wanted)
    with monkeypatch.context() as patched:  # now it opens no run
        patched.setattr(Run, "content", None)
        for name, wanted in (("loss", expected), ("loss.min", [7.0, 7.0]), ("loss.max", [0.9, 0.8])):
            assert found(name) == pytest.approx(wanted)
    monkeypatch.setenv("REFUNC_CACHE", "off")
    assert found("loss") == pytest.approx(expected)


def test_a_metric_that_is_named_as_a_statistic_is_not_put_together_with_the_statistic(tmp_path: Path) -> None:
    for metrics in ({"loss": 1.0, "loss.min": 7.0}, {"loss": 2.0}):
        with ExperimentTracker("digits", log_dir=tmp_path) as run:
            run.log_metrics(metrics, step=0)

    (values,) = open_store(tmp_path).group_by("experiment_name").metric("loss.min").values().values()

    assert values == [7.0]


def test_a_run_that_is_removed_meanwhile_does_not_count(runs: Store) -> None:
    groups = runs.group_by("params.model")
    shutil.rmtree(runs["cnn-0"].folder)
    assert groups.metric("val/loss").values() == {("cnn",): [0.4], ("mlp",): [2.0], (None,): []}


def test_what_is_found_is_a_list(runs: Store) -> None:
    found = runs.find()
    assert isinstance(found, list)
    assert isinstance(found, Runs)
    assert len(found) == 5
    assert found[0].run_name == "cnn-0"
    assert [group.key for group in found[2:].group_by("params.model")] == [("mlp",), (None,)]
    assert [row["run_name"] for row in found[:2].to_rows()] == ["cnn-0", "cnn-1"]


curves = st.dictionaries(st.integers(0, 50), st.floats(-1e6, 1e6), min_size=1, max_size=20)


@given(st.lists(curves, min_size=1, max_size=5), st.integers(2, 60))
def test_a_curve_keeps_its_points_and_stays_between_its_neighbours(found: list[dict[int, float]], most: int) -> None:
    columns = [sorted(curve) for curve in found]
    axis = _axis(columns, most)
    assert len(axis) <= most or len(axis) == len({x for each in columns for x in each})
    assert {axis[0], axis[-1]} == {min(min(each) for each in columns), max(max(each) for each in columns)}
    for curve, x in zip(found, columns, strict=True):
        values = _read(x, [curve[step] for step in x], axis)
        for at, value in zip(axis, values, strict=True):
            if at in curve:
                assert value == curve[int(at)]
            elif x[0] < at < x[-1]:
                around = (curve[max(step for step in x if step < at)], curve[min(step for step in x if step > at)])
                assert min(around) - 1e-6 <= value <= max(around) + 1e-6
            else:
                assert value != value


@pytest.mark.extras
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30), st.floats(0, 1))
def test_quantiles_are_numpys(values: list[float], share: float) -> None:
    import numpy

    assert quantile_of(sorted(values), share) == pytest.approx(float(numpy.quantile(values, share)), rel=1e-9, abs=1e-6)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=8))
@example([sys.float_info.max] * 2)
@example([sys.float_info.max, -sys.float_info.max])
@example([-math.inf, 2.0])
@example([math.inf, -math.inf])
def test_what_lies_between_infinite_and_very_large_values_is_exact(values: list[float]) -> None:
    ordered = sorted(values)
    for share, found in zip((0.25, 0.5, 0.75), (described(ordered)[at] for at in (4, 3, 5)), strict=True):
        at = (len(ordered) - 1) * share
        below, above = ordered[math.floor(at)], ordered[math.ceil(at)]
        if math.isfinite(below) and math.isfinite(above):
            exact = Fraction(below) + (Fraction(above) - Fraction(below)) * Fraction(at % 1)
            rounding = 1e-9 * max(abs(below), abs(above))
            assert found == pytest.approx(float(exact), rel=1e-9, abs=rounding)
        else:  # an infinity outweighs any number, and no number lies between two opposite ones
            rounding = 0
            assert found == pytest.approx(below if below == above or not at % 1 else below + above, nan_ok=True)
        there, back = _read([0, 1], [below, above], [share])[0], _read([0, 1], [above, below], [1 - share])[0]
        for read in (there, back):
            assert read == pytest.approx(quantile_of([below, above], share), rel=1e-9, abs=rounding, nan_ok=True)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=8))
@example([sys.float_info.max] * 3)
@example([sys.float_info.max, -sys.float_info.max, 1.0])
@example([1e200, -1e200])
def test_statistics_of_infinite_and_very_large_values_are_exact(values: list[float]) -> None:
    ordered = sorted(values)
    assert (quantile_of(ordered, 0), quantile_of(ordered, 1)) == (ordered[0], ordered[-1])
    if not all(map(math.isfinite, values)):
        expected = math.nan if {math.inf, -math.inf}.issubset(values) else next(v for v in values if math.isinf(v))
        assert mean_of(values) == pytest.approx(expected, nan_ok=True)
        assert spread_of(values) is None
        return
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    assert mean_of(values) == pytest.approx(
        float(mean), rel=1e-9, abs=1e300 * 1e-9 if max(map(abs, values)) > 1e300 else 0
    )
    found, largest = spread_of(values), float(max(abs(value - mean) for value in exact))
    if found is None:
        assert len(values) == 1
    elif 1e-100 < largest > 1e-6 * max(map(abs, values)) and found < math.inf:  # else rounding is all that there is
        assert largest / math.sqrt(len(values)) * 0.999 <= found <= largest * math.sqrt(2) * 1.001
