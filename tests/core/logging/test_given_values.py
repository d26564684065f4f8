"""The values of a call in the run: nested and missing metrics, results of one name, fields behind a message."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import logging
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.journal.record import Metrics
from refunc.logging import ExperimentTracker, LogEntry, MLLogger, ProgressTracker, experiment_context
from refunc.logging.metrics import split_metrics
from refunc.runs import Run, open_store


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return the warnings of refunc itself."""
    return lambda: [record.getMessage() for record in caplog.records if record.name == "refunc.runs"]


def run_of(log: Callable[[ExperimentTracker], Any]) -> Run:
    """Return the run that *log* wrote to."""
    with experiment_context("values", logger=MLLogger("quiet", "CRITICAL")) as run:
        log(run)
    assert run.run_id is not None
    return open_store()[run.run_id]


def metrics_of(metrics: Any, step: Any = 3) -> LogEntry:
    run = run_of(lambda run: run.log_metrics(metrics, step=step))
    (entry,) = [entry for entry in run.entries() if entry.level == "METRIC"]
    return entry


# -- metrics ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Scores:
    f1: float = 0.5
    support: int = 7


@pytest.mark.parametrize(
    ("metrics", "flat"),
    [
        ({"train": {"loss": 0.5}}, {"train/loss": 0.5}),
        ({"a": {"b": {"c": 1}}, "d": 2}, {"a/b/c": 1, "d": 2}),
        ({"macro avg": Scores()}, {"macro avg/f1": 0.5, "macro avg/support": 7}),
        (Scores(), {"f1": 0.5, "support": 7}),
        (collections.UserDict(a={1: Decimal("0.5")}), {"a/1": 0.5}),
        ({"a/b": 1, "a": {"b": 2}}, {"a/b": 1, "a/b_2": 2}),
        ({"a": {"b": 2}, "a/b": 1}, {"a/b": 1, "a/b_2": 2}),
        ({"seconds": datetime.timedelta(minutes=2)}, {"seconds": 120.0}),
    ],
)
@pytest.mark.parametrize("way", ["log_metrics", "log_result", "line", "payload"])
def test_nested_metrics_are_metrics_with_a_slash(metrics: Any, flat: dict[str, float], way: str) -> None:
    if isinstance(metrics, Scores) and way in ("log_result", "payload"):
        metrics = dataclasses.asdict(metrics)
    run = run_of(
        lambda run: {
            "log_metrics": lambda: run.log_metrics(metrics, step=3),
            "log_result": lambda: run.log_result("test", metrics),
            "line": lambda: run.logger.critical("line", metrics=metrics),
            "payload": lambda: MLLogger("loud", "METRIC").metric("line", metrics),
        }[way]()
    )

    assert run.summary.last == flat


_NAMES = st.text("ab/", min_size=1, max_size=3)


@given(
    st.recursive(
        st.dictionaries(_NAMES, st.floats(allow_nan=False), min_size=1),
        lambda inner: st.dictionaries(_NAMES, inner, min_size=1, max_size=3),
        max_leaves=20,
    )
)
def test_no_number_of_a_nested_mapping_is_lost(metrics: dict[str, Any]) -> None:
    def numbers(values: Mapping[str, Any]) -> list[float]:
        return [n for value in values.values() for n in (numbers(value) if isinstance(value, dict) else [value])]

    plain, other = split_metrics(metrics, warn=False)

    assert sorted(plain.values()) == sorted(numbers(metrics))
    assert other is None


def test_a_missing_value_keeps_its_name_and_draws_no_point(warnings: Callable[[], list[str]]) -> None:
    def log(run: ExperimentTracker) -> None:
        run.log_metrics({"loss": 0.5}, step=0)
        run.log_metrics({"loss": None, "lr": 0.1}, step=1)
        run.log_metrics({"loss": None}, step=2)

    run = run_of(log)

    points = [entry.metrics for entry in run.entries() if entry.level == "METRIC"]
    assert points == [{"loss": 0.5}, {"loss": None, "lr": 0.1}, {"loss": None}]
    assert list(run.metrics("loss")) == [(0, 0.5)]
    assert run.summary.metrics["loss"].count == 1
    assert ["missing" in warning for warning in warnings()] == [True]


@pytest.mark.once
@pytest.mark.extras
def test_values_that_pandas_and_numpy_call_missing_are_missing() -> None:
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    masked = np.ma.masked_invalid([math.nan, math.nan]).mean()

    entry = metrics_of({"masked": masked, "na": pd.NA, "nat": pd.NaT, "time": np.timedelta64("NaT", "s"), "ok": 1.0})

    assert entry.metrics == {"masked": None, "na": None, "nat": None, "time": None, "ok": 1.0}


@pytest.mark.once
@pytest.mark.extras
def test_a_table_row_is_metrics_and_an_array_is_kept_beside_them(warnings: Callable[[], list[str]]) -> None:
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")

    assert metrics_of(pd.Series({"loss": 0.5, "acc": 0.25})).metrics == {"loss": 0.5, "acc": 0.25}
    assert metrics_of({"grid": np.array([1, 2]), "one": np.array([[3.0]])}).metrics == {"grid": [1, 2], "one": 3.0}
    assert len(warnings()) == 1


# -- results ----------------------------------------------------------------------------------------------------------


def test_two_results_with_one_metric_are_both_there(warnings: Callable[[], list[str]]) -> None:
    def log(run: ExperimentTracker) -> None:
        run.log_result("train", {"accuracy": 0.9})
        run.log_result("test", {"accuracy": 0.8, "f1": 0.7})
        run.log_result("test", {"accuracy": 0.85})
        run.log_result("f1", 0.6)

    run = run_of(log)

    assert run.results == {"accuracy": 0.9, "test/accuracy": 0.85, "f1": 0.7, "f1/f1": 0.6}
    assert run.summary.last == run.results
    assert [warning for warning in warnings() if "'test/accuracy'" in warning and "'train'" in warning]
    assert len(warnings()) == 2


def test_a_result_by_itself_has_the_names_it_was_given(warnings: Callable[[], list[str]]) -> None:
    def log(run: ExperimentTracker) -> None:
        run.log_result("Training completed", {"final_accuracy": 0.95})
        run.log_result("final_loss", 0.1)
        run.log_result("final_loss", 0.05)

    assert run_of(log).results == {"final_accuracy": 0.95, "final_loss": 0.05}
    assert warnings() == []


def test_results_that_two_processes_named_alike_are_told_apart_when_they_are_read() -> None:
    def log(run: ExperimentTracker) -> None:
        run.log_result("train", {"accuracy": 0.9})
        assert run._run is not None
        run._run.results.__init__()  # type: ignore[misc]  # as another process has it
        run.log_result("test", {"accuracy": 0.8})

    assert run_of(log).results == {"accuracy": 0.9, "test/accuracy": 0.8}


def test_lines_at_the_level_result_go_on_with_their_names() -> None:
    def log(run: ExperimentTracker) -> None:
        MLLogger("loud").result("epoch 1", {"accuracy": 0.8})
        MLLogger("loud").result("epoch 2", {"accuracy": 0.9})

    assert run_of(log).results == {"accuracy": 0.9}


# -- lists where mappings are meant -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "kept", "says"),
    [
        (lambda run: run.add_tags(["a", "b"]), {"tags": {"a": "", "b": ""}}, ["['a', 'b']", "tags={'a'"]),
        (lambda run: run.add_tags("baseline"), {"tags": {"baseline": ""}}, ["'baseline'"]),
        (lambda run: run.add_tags([1]), {"tags": {"value": "[1]"}}, ["[1]", "`value`", "tags={"]),
        (lambda run: run.log_params([1, 2]), {"params": {"value": [1, 2]}}, ["[1, 2]", 'log_hyperparams({"lr": 0.1})']),
        (lambda run: run.log_params("lr"), {"params": {"value": "lr"}}, ["'lr'", 'log_hyperparams({"lr": 0.1})']),
        (lambda run: run.log_metrics("loss", 0.5), {"last": {"loss": 0.5}}, ["log_metrics({'loss': 0.5})"]),
        (lambda run: run.log_metrics("loss", 3), {"last": {"loss": 3}}, ["log_metric('loss', 3)"]),
        (lambda run: run.log_metrics([0.5]), {"points": 0}, ["[0.5]", 'log_metrics({"loss": 0.5})']),
        (lambda run: run.log_result("x", 1, metadata=["a"]), {"results": {"x": 1}}, ["metadata", "['a']"]),
    ],
)  # fmt: skip
def test_what_is_no_mapping_is_kept_and_the_right_call_is_said(
    log: Callable[[ExperimentTracker], Any], kept: dict[str, Any], says: list[str], warnings: Callable[[], list[str]]
) -> None:
    run = run_of(log)

    assert {name: getattr(run.summary, name) for name in kept} == kept
    if says[0] != "metadata":
        (warning,) = warnings()
        assert all(part in warning for part in says)


def test_metrics_that_are_no_mapping_are_in_the_record() -> None:
    (record,) = [
        record for record in run_of(lambda run: run.log_metrics([0.5])).records() if isinstance(record, Metrics)
    ]

    assert (record.metrics, record.other) == ({}, {"value": [0.5]})


def test_a_context_says_so_of_lists_too(warnings: Callable[[], list[str]]) -> None:
    with experiment_context("values", "lists", parameters=[1], tags=["a"]):  # type: ignore[arg-type]
        pass

    run = open_store()["lists"]
    assert (run.params, run.tags, len(warnings())) == ({"value": [1]}, {"a": ""}, 2)


def test_params_that_cannot_be_read_are_one_warning_that_names_them(warnings: Callable[[], list[str]]) -> None:
    @dataclasses.dataclass
    class Unset:
        lr: float = 0.1
        started: float = dataclasses.field(init=False)

    run = run_of(lambda run: run.log_hyperparams({"trainer": Unset(), "seed": 1}))

    assert (run.params["seed"], run.params["trainer"]["lr"]) == (1, 0.1)
    (warning,) = warnings()
    assert "trainer.started" in warning


# -- fields behind a message ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message", "extra"),
    [
        (("msg", {"a": 1}), "msg", {"a": 1}),
        (("x %(a)s", {"a": 1}), "x 1", {}),
        (("x %s", {"a": 1}), "x {'a': 1}", {}),
        (("epoch %d", 3, {"a": 1}), "epoch 3", {"a": 1}),
        (("%s %s", 3, {"a": 1}), "3 {'a': 1}", {}),
        (("100%", {"a": 1}), "100%", {"a": 1}),
        (("50%% done", {"a": 1}), "50% done", {"a": 1}),
        (("x %(b)s", {"a": 1}), "x %(b)s", {"a": 1}),
        (("msg", {}), "msg", {}),
        (("msg", collections.UserDict(a=1)), "msg", {"a": 1}),
        (("msg", 1), "'msg' (1)", {}),
    ],
)
@pytest.mark.parametrize("level", ["info", "error"])
def test_a_mapping_that_the_message_has_no_place_for_is_kept_as_fields(
    arguments: tuple[Any, ...], message: str, extra: dict[str, Any], level: str
) -> None:
    logger = MLLogger("fields")

    getattr(logger, level)(*arguments)

    entry = logger.get_log_entries()[-1]
    assert (entry.message, entry.extra) == (message, extra)


def test_what_extra_says_wins_over_a_mapping_behind_the_message() -> None:
    logger = MLLogger("fields")

    logger.info("msg", {"a": 1, "b": 2}, extra={"a": 3})  # noqa: PLE1205  # which is the point

    assert logger.get_log_entries()[-1].extra == {"a": 3, "b": 2}


class Trainer:
    rank = 0


@pytest.mark.parametrize(
    "value", [datetime.date(2024, 1, 1), Decimal("1.5"), (3, 4), Trainer(), {"nested": (1,)}, 7, "text", None]
)
@pytest.mark.parametrize("way", ["extra", "argument"])
def test_other_handlers_get_extra_as_it_was_given(value: Any, way: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = MLLogger("given")

    if way == "extra":
        logger.info("line", extra={"field": value, "other": [1]})
    else:
        logger.info("line", {"field": value, "other": [1]})  # noqa: PLE1205  # see above

    (record,) = caplog.records
    assert vars(record)["field"] is value


# -- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [math.nan, math.inf, -math.inf, 1e301, Decimal("NaN"), 10**400])
@pytest.mark.parametrize("total", [10, None])
def test_a_count_that_is_none_is_one_step_and_spoils_no_line(
    count: Any, total: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        tracker = ProgressTracker(total, "Training", MLLogger("train", "PROGRESS"))
        tracker.update(count)
        tracker.update(1)
        tracker.log_progress()

    line = next(record.getMessage() for record in caplog.records if record.name == "train")
    assert len(line) < 200
    if type(count) is not int:
        assert tracker.completed == 2
