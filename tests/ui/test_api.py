"""The server's answers about a store: tables, curves, lines, artifacts, changes."""

from __future__ import annotations

import gzip
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ui.conftest import TOKEN, wait_for

pytestmark = pytest.mark.ui

_SCRIPT = """
for seed in range(6):
    model = ("resnet", "vit")[seed % 2]
    with run(f"run-{seed}", ("digits", "line")[seed % 2], tags={"team": ("red", "blue")[seed % 2]}):
        logger.log_hyperparams({"lr": 10.0 ** -seed, "model": model, "seed": seed})
        for step in range(2_000 if seed == 0 else 50):
            value = math.exp(-step / 20) + seed
            logger.log_metrics({"val/loss": value, "train/loss": value / 2}, step=step, epoch=step // 10)
        if seed == 1:
            logger.log_metrics({"val/loss": math.nan}, step=50)
            logger.log_metrics({"val/loss": -math.inf}, step=51)
            logger.log_metrics({"only": 1.0}, step=52)
        for number in range(30):
            logger.log(30 if number % 10 == 0 else 20, f"line {number}")
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, train: Callable[..., None]) -> Path:
    store = tmp_path_factory.mktemp("api") / "experiments"
    train(store, _SCRIPT)
    return store


@pytest.fixture(scope="module")
def server(store: Path, start: Callable[..., Any]) -> Any:
    return start(store)


# -- tables ------------------------------------------------------------------------------------------------------------


def test_a_table_has_the_newest_run_first_and_the_columns_that_are_asked_for(server: Any) -> None:
    found = server.json(
        "/api/runs", columns=["params.lr", "params.model", "metrics.val/loss.min", "status", "params.no"]
    )

    assert [row["name"] for row in found["rows"]] == [f"run-{seed}" for seed in range(5, -1, -1)]
    assert (found["total"], found["matched"], found["notes"], found["unreadable"]) == (6, 6, [], [])
    kinds = [(column["title"], column["kind"]) for column in found["columns"]]
    expected = [("lr", "number"), ("model", "text"), ("val/loss.min", "number"), ("status", "status"), ("no", "text")]
    assert kinds == expected
    first = found["rows"][-1]
    assert first["values"] == [1.0, "resnet", pytest.approx(math.exp(-1999 / 20)), "completed", None]
    assert first["tags"] == {"team": "red"}
    assert (first["status"], first["attempt"], first["ranks"], first["damaged"]) == ("completed", 1, 0, False)
    assert first["duration"] > 0


def test_filtered_sorted_and_in_pages(server: Any) -> None:
    found = server.json("/api/runs", where="params.model == 'vit'", sort="params.lr", limit=2, offset=1)

    assert [row["name"] for row in found["rows"]] == ["run-3", "run-1"]
    assert (found["total"], found["matched"]) == (6, 3)
    assert [row["name"] for row in server.json("/api/runs", sort="-params.lr", limit=1)["rows"]] == ["run-0"]
    assert server.json("/api/runs", where="params.lr > 5")["rows"] == []


@pytest.mark.parametrize(
    ("params", "problem", "at", "where"),
    [
        ({"where": "params.lr <"}, "it is incomplete", [11, 11], "where"),
        ({"where": "params.learning > 1"}, "no run has a param 'learning'", [0, 15], "where"),
        ({"sort": "-params.lrr"}, "Did you mean params.lr?", [1, 11], "sort"),
        ({"where": "params.lr < 1", "sort": "metrics.no"}, "no run has a metric 'no'", [0, 10], "sort"),
        ({"where": "__import__('os')"}, "", None, "where"),
        ({"limit": "1001"}, "limit: '1001' is not allowed. Allowed: 0 to 1,000.", None, None),
        ({"limit": "x"}, "limit: 'x' is not allowed", None, None),
        ({"columns": "unknown.name"}, "'unknown.name': ", None, None),
    ],
)
def test_a_mistake_is_told_with_its_place(server: Any, params: Any, problem: str, at: Any, where: Any) -> None:
    answer = server.get("/api/runs", **params)

    assert answer.status == 400
    assert problem in answer.json["error"]
    assert answer.json["in"] == where
    if at is not None:
        assert answer.json["at"] == at


def test_groups_have_their_runs_and_the_spread_of_each_column(server: Any) -> None:
    found = server.json("/api/runs", group="params.model", columns=["metrics.val/loss.max", "params.model"], limit=0)

    assert found["rows"] == []
    by_key = {group["key"][0]: group for group in found["groups"]}
    assert set(by_key) == {"resnet", "vit"}
    assert (by_key["vit"]["n"], len(by_key["vit"]["runs"])) == (3, 3)
    assert by_key["resnet"]["values"] == [[3.0, 2.0, 1.0, 5.0], None]


def test_names_for_expressions_and_charts(server: Any) -> None:
    found = server.json("/api/names")

    assert found["params"] == ["lr", "model", "seed"]
    assert found["metrics"] == ["only", "train/loss", "val/loss"]
    assert (found["tags"], found["experiments"], found["more"]) == (["team"], ["digits", "line"], {})
    assert {"last", "min", "best_step"} <= set(found["statistics"])


def test_metrics_of_chosen_runs(server: Any) -> None:
    ids = server.ids()
    found = server.json("/api/metrics", run=[ids["run-0"], ids["run-1"]])["metrics"]

    assert [(each["name"], each["runs"], each["points"]) for each in found] == [
        ("only", 1, 1),
        ("train/loss", 2, 2_050),
        ("val/loss", 2, 2_052),
    ]
    assert [each["single"] for each in found] == [True, False, False]
    assert (found[2]["goal"], found[2]["guessed"]) == ("min", True)
    matching = server.json("/api/metrics", run=ids["run-0"], match="*/loss")["metrics"]
    assert [each["name"] for each in matching] == ["train/loss", "val/loss"]


# -- curves ------------------------------------------------------------------------------------------------------------


def test_a_curve_is_thinned_out_until_zooming_shows_single_points(server: Any) -> None:
    run = server.ids()["run-0"]
    (curve,) = server.curves(metric="val/loss", run=run, points=100)["curves"]

    assert (curve["of"], curve["all"], curve["run"]) == (2_000, 2_000, run)
    assert len(curve["data"]["x"]) == curve["n"] <= 100
    assert (curve["data"]["x"][0], curve["data"]["x"][-1]) == (0.0, 1999.0)
    assert curve["range"] == [pytest.approx(math.exp(-1999 / 20)), 1.0]
    assert curve["best"] == [1999, pytest.approx(math.exp(-1999 / 20))]

    (zoomed,) = server.curves(metric="val/loss", run=run, points=100, **{"from": 100.5, "to": 150})["curves"]

    assert zoomed["data"]["x"] == [float(step) for step in range(100, 152)]
    assert zoomed["data"]["y"] == [math.exp(-step / 20) for step in range(100, 152)]
    assert zoomed["of"] == 50


def test_what_is_not_finite_is_a_gap_and_is_listed(server: Any) -> None:
    (curve,) = server.curves(metric="val/loss", run=server.ids()["run-1"])["curves"]

    assert (curve["nan"], curve["inf"], curve["odd"]) == (1, 1, [[50, "nan"], [51, "-inf"]])
    assert [math.isnan(value) for value in curve["data"]["y"][-2:]] == [True, True]
    assert curve["last"] == "-inf"


def test_axes_and_smoothing(server: Any) -> None:
    run = server.ids()["run-2"]
    for axis, places in (("step", [0.0, 1.0]), ("epoch", [0.0, 0.0])):
        found = server.curves(metric="val/loss", run=run, x=axis, smooth=0.5)
        (curve,) = found["curves"]
        assert (found["x"], curve["data"]["x"][:2]) == (axis, places)
        assert curve["columns"] == ["x", "y", "smooth"]
        first, second = curve["data"]["y"][:2]
        assert curve["data"]["smooth"][:2] == [pytest.approx(first), pytest.approx((first / 2 + second) / 1.5)]
    (relative,) = server.curves(metric="val/loss", run=run, x="relative")["curves"]
    (times,) = server.curves(metric="val/loss", run=run, x="time")["curves"]
    start = server.json("/api/run", run=run)["start_time"]
    assert relative["data"]["x"] == pytest.approx([moment - start for moment in times["data"]["x"]])


def test_groups_become_one_curve_with_a_band(server: Any) -> None:
    ids = server.ids()
    found = server.curves(
        metric="val/loss", run=[*ids.values()], group="params.model", center="median", spread="minmax", points=50
    )

    by_key = {curve["key"][0]: curve for curve in found["curves"]}
    vit = by_key["vit"]["data"]
    assert by_key["vit"]["columns"] == ["x", "center", "low", "high", "n"]
    assert sorted(by_key["vit"]["runs"]) == sorted(ids[f"run-{seed}"] for seed in (1, 3, 5))
    assert (vit["low"][0], vit["center"][0], vit["high"][0], vit["n"][0]) == (2.0, 4.0, 6.0, 3.0)


def test_only_what_is_new_of_a_curve(server: Any) -> None:
    run = server.ids()["run-3"]
    (whole,) = server.curves(metric="val/loss", run=run)["curves"]

    nothing = server.curves(metric="val/loss", run=run, after=whole["cursor"])
    assert (nothing["again"], nothing["curves"][0]["count"]) == (False, 0)
    other = server.curves(metric="val/loss", run=run, after="20.00")
    assert (other["again"], other["curves"][0]["count"]) == (True, 50)


@pytest.mark.parametrize(
    ("params", "status", "problem"),
    [
        ({"run": "no-such"}, 404, "There is no run 'no-such'"),
        ({"metric": ""}, 400, "metric: name the metric"),
        ({"points": "5"}, 400, "points: '5' is not allowed. Allowed: 8 to 20,000."),
        ({"from": "nan"}, 400, "from: 'nan' is not a number"),
        ({"smooth": "1"}, 400, "smooth: 1 is not allowed"),
        ({"x": "steps"}, 400, "x: 'steps' is not known. Allowed: own, step, epoch, time, relative."),
        ({"rank": "last"}, 400, "rank: 'last' is not allowed"),
        ({"spread": "wide"}, 400, "spread: 'wide' is not known"),
        ({"run": [str(number) for number in range(1_001)]}, 400, "run: 1,001 are too many. Allowed: 1,000."),
    ],
)
def test_wrong_questions_about_curves(server: Any, params: Any, status: int, problem: str) -> None:
    answer = server.get("/api/curves", **{"metric": "val/loss", "run": server.ids()["run-0"], **params})

    assert (answer.status, problem in answer.json["error"]) == (status, True), answer.json


# -- one run -----------------------------------------------------------------------------------------------------------


def test_long_answers_are_compressed_for_those_who_take_it(server: Any) -> None:
    token = {"authorization": f"Bearer {TOKEN}"}
    plain = server.get("/api/runs", headers=token)
    packed = server.get("/api/runs", headers={**token, "accept-encoding": "gzip, br"})

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2
    assert (
        "content-encoding" not in server.get("/api/runs", headers={**token, "accept-encoding": "gzip"}, limit=0).headers
    )


def test_the_usual_columns_are_the_first_params_and_metrics(server: Any) -> None:
    found = server.json("/api/runs", usual=1, columns="status")

    keys = ["params.lr", "params.model", "params.seed", "metrics.train/loss", "metrics.val/loss", "metrics.only"]
    assert [column["key"] for column in found["columns"]] == keys
    assert found["rows"][-1]["values"][:2] == [1.0, "resnet"]


def test_a_usual_column_of_a_metric_that_is_named_as_a_statistic_is_of_that_metric(
    tmp_path: Path, train: Callable[..., None], start: Callable[..., Any]
) -> None:
    train(tmp_path / "runs", "with run('odd', 'e'): logger.log_metrics({'loss': 1.0, 'loss.min': 7.0}, step=0)")

    found = start(tmp_path / "runs").json("/api/runs", usual=1)

    columns = dict(zip((column["key"] for column in found["columns"]), found["rows"][0]["values"], strict=True))
    assert columns == {"metrics.loss": 1.0, "metrics.loss.min.last": 7.0}


def test_everything_about_a_run(server: Any, store: Path) -> None:
    run = server.ids()["run-1"]
    found = server.json("/api/run", run=run)

    assert (found["id"], found["run_name"], found["status"]) == (run, "run-1", "completed")
    assert found["params"] == {"lr": 0.1, "model": "vit", "seed": 1}
    assert found["metrics"]["val/loss"]["last"] == "-inf"
    assert (found["delivery"], found["error"], found["more_metrics"]) == ([], None, 0)
    assert found["links"]["children"] == []
    assert Path(found["folder"]).parent == store


def test_lines_in_pages_by_level_and_text_and_at_the_step_of_the_curves(server: Any) -> None:
    run = server.ids()["run-1"]
    page = server.json("/api/lines", run=run, limit=10)

    assert [line["message"] for line in page["lines"]] == [f"line {number}" for number in range(20, 30)]
    assert (page["total"], page["after"]) == (30, None)
    before = server.json("/api/lines", run=run, limit=10, before=page["before"])
    assert [line["message"] for line in before["lines"]] == [f"line {number}" for number in range(10, 20)]
    warnings = server.json("/api/lines", run=run, level="warning")["lines"]
    assert [(line["message"], line["level"]) for line in warnings] == [
        (f"line {number}", "WARNING") for number in (0, 10, 20)
    ]
    assert [line["message"] for line in server.json("/api/lines", run=run, search="LINE 27")["lines"]] == ["line 27"]
    assert {line["at_step"] for line in page["lines"]} == {51}
    assert server.get("/api/lines", run=run, level="loud").status == 400


# -- changes -----------------------------------------------------------------------------------------------------------


def test_new_runs_annotations_and_removed_runs_are_seen(
    tmp_path: Path, start: Callable[..., Any], train: Callable[..., None]
) -> None:
    from refunc.annotations import annotate, remove
    from refunc.runs import Store

    store = tmp_path / "experiments"
    train(store, "with run('one'): logger.log_metrics({'loss': 1.0}, step=1)")
    server = start(store)
    assert list(server.ids()) == ["one"]

    train(store, "with run('two'): logger.log_metrics({'loss': 1.0}, step=1)")
    wait_for(lambda: list(server.ids()) == ["two", "one"])

    annotate(Store(store)["one"], tags={"best": "yes"}, name="renamed")
    wait_for(lambda: list(server.ids()) == ["two", "renamed"])
    found = wait_for(lambda: [row["tags"] for row in server.json("/api/runs")["rows"] if row["tags"]])
    assert found == [{"best": "yes"}]
    assert server.json("/api/runs", where="tags.best == 'yes'")["matched"] == 1

    remove(Store(store)["two"])
    wait_for(lambda: list(server.ids()) == ["renamed"])
    assert list(server.ids(removed=1)) == ["two"]

    shutil.rmtree(Store(store)["renamed"].folder)
    wait_for(lambda: server.ids() == {})
    assert server.json("/api/runs")["rows"] == []


def test_an_empty_store_and_one_that_is_gone(tmp_path: Path, start: Callable[..., Any]) -> None:
    store = tmp_path / "experiments"
    store.mkdir()
    server = start(store)

    assert server.json("/api/runs")["total"] == 0
    assert server.get("/api/runs", where="params.lr > 1").json["matched"] == 0
    store.rmdir()
    found = wait_for(lambda: (answer := server.get("/api/runs")).status != 200 and answer)
    assert (found.status, "The store cannot be read" in found.json["error"]) == (503, True)
