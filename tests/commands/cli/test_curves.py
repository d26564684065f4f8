"""`refunc compare` and `plot`: runs side by side, and as curves; and mistakes at these and at `export`."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import pytest
from tests.commands.cli.trained import HOSTILE, make

from refunc.logging import ExperimentTracker, MLLogger, experiment_context
from refunc_commands.plotting.terminal import Curve, chart

pytestmark = [pytest.mark.once, pytest.mark.extras]


def cells(output: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.split()}


# -- compare ----------------------------------------------------------------------------------------------------------


def test_runs_stand_side_by_side_with_differences_and_the_best_marked(invoke: Any) -> None:
    first, second = make("one", 0.1, 0.5, 0.3, 0.4), make("two", 0.01, 0.6, 0.2)

    result = invoke("compare", "one", "two")

    found = cells(result.stdout)
    assert result.exit_code == 0
    assert (found["id"], found["status"]) == ([first, second], ["completed", "completed"])
    assert (found["lr"], found["optimizer.name"]) == (["≠", "0.1", "0.01"], ["adam", "adam"])
    assert found["loss.min"] == ["0.3", "0.2*"]
    only = cells(invoke("compare", "one", "two", "--diff").stdout)
    assert "lr" in only
    assert "optimizer.name" not in only


def test_values_that_only_look_the_same_differ(invoke: Any) -> None:
    for name, lr, text, dash in (("one", 0.1000001, "1", "-"), ("two", 0.1000002, 1, None)):
        given = {"lr": lr, "text": text, "same": 1.0} | ({"dash": dash} if dash else {})
        with experiment_context("e", name, parameters=given, logger=MLLogger("compare", "CRITICAL")) as tracker:
            tracker.define_metric("hidden", goal="max", summary="none")
            tracker.log_metrics({"hidden": 1.0})

    found = cells(invoke("compare", "one", "two").stdout)

    assert found["lr"] == ["≠", "0.1000001", "0.1000002"]
    assert (found["text"], found["dash"]) == (["≠", '"1"', "1"], ["≠", '"-"', "-"])
    assert found["same"] == ["1", "1"]
    assert "hidden" not in found
    assert json.loads(invoke("compare", "one", "two", "--json").stdout)["params"]["lr"]["differs"]


def test_without_a_goal_the_best_is_guessed_from_the_name_and_marked_so(invoke: Any) -> None:
    make("one", 0.1, 0.5, 0.3, goal=None)
    best = make("two", 0.01, 0.6, 0.2, goal=None)

    printed = invoke("compare", "one", "two").stdout
    metrics = json.loads(invoke("compare", "one", "two", "--json").stdout)["metrics"]
    shown = invoke("show", "one").stdout

    assert cells(printed)["loss"] == ["0.3", "0.2~"]
    assert printed.endswith("~ the best, guessed from the metric's name\n")
    assert (metrics["loss"]["best"], metrics["loss"]["best_is_guessed"]) == ([best], True)
    assert "0.3~" in cells(shown)["loss"]
    assert "  ~ the best, guessed from the metric's name" in shown


def test_a_goal_that_one_run_gives_counts_for_all_and_a_guess_does_not(invoke: Any) -> None:
    make("one", 0.1, 0.5, goal=None)
    best = make("two", 0.01, 0.6, goal="max")

    metrics = json.loads(invoke("compare", "one", "two", "--json").stdout)["metrics"]

    assert metrics["loss"]["best"] == [best]
    assert "best_is_guessed" not in metrics["loss"]


def test_without_a_goal_nothing_is_the_best(invoke: Any) -> None:
    make("one", 0.1, 0.5, goal=None)
    make("two", 0.1, 0.6, goal="min")
    make("three", 0.1, 0.7, goal="max")

    assert "*" not in invoke("compare", "one", "one").stdout
    assert "*" not in invoke("compare", "two", "three").stdout  # their goals disagree


@pytest.mark.parametrize(
    ("first", "second", "summary", "shown", "best"),
    [
        ((0.1, 0.5), (0.4, 0.3), "last", ["0.5", "0.3*"], ["two"]),  # the first reached 0.1
        ((0.1, math.nan), (0.4, 0.3), "last", ["NaN", "0.3*"], ["two"]),
        ((0.1, math.nan), (0.2, math.nan), "last", ["NaN", "NaN"], []),
        ((0.1, 0.3), (0.2, 0.3), "last", ["0.3*", "0.3*"], ["one", "two"]),
        ((0.1, 0.5), (0.4, 0.3), "min", ["0.1*", "0.3"], ["one"]),
        ((math.nan,), (0.4, 0.3), "min", ["-", "0.3*"], ["two"]),
        ((0.1, 0.5), (0.2, 0.3), "mean", ["0.3", "0.25*"], ["two"]),
        ((0.1, 0.5), (0.2, 0.3), "max", ["0.5", "0.3*"], ["two"]),
    ],
)
def test_the_mark_of_the_best_is_on_the_best_of_the_values_that_are_shown(
    first: tuple[float, ...],
    second: tuple[float, ...],
    summary: Literal["last", "min", "mean", "max"],
    shown: list[str],
    best: list[str],
    invoke: Any,
) -> None:
    for name, losses in (("one", first), ("two", second)):
        with ExperimentTracker("images", name) as tracker:
            tracker.define_metric("loss", goal="min", summary=summary)
            for step, loss in enumerate(losses):
                tracker.log_metrics({"loss": loss}, step=step)

    lines = cells(invoke("compare", "one", "two").stdout)
    found = json.loads(invoke("compare", "one", "two", "--json").stdout)

    assert lines["loss" if summary == "last" else f"loss.{summary}"] == shown
    names = {run["run_id"]: run["run_name"] for run in found["runs"]}
    assert [names[each] for each in found["metrics"]["loss"].get("best", [])] == best


def test_comparing_as_json_has_everything(invoke: Any) -> None:
    make("one", 0.1, 0.5)
    best = make("two", 0.01, math.nan, 0.2)

    found = json.loads(invoke("compare", "one", "two", "--json").stdout, parse_constant=pytest.fail)

    assert found["params"]["lr"] == {"values": [0.1, 0.01], "differs": True}
    assert found["metrics"]["loss"] == {"values": [0.5, 0.2], "differs": True, "best": [best]}
    assert [run["run_name"] for run in found["runs"]] == ["one", "two"]


def test_runs_that_do_not_fit_the_window_follow_below(in_terminal: Any) -> None:
    for number in range(8):
        make(f"run_with_a_long_name_{number}", number, 0.5)

    shown = in_terminal("compare", *(f"run_with_a_long_name_{n}" for n in range(8)), columns=60, NO_COLOR="1")

    assert max(map(len, shown.splitlines())) <= 60
    assert shown.count("completed") == 8
    assert sorted(value for line in shown.splitlines() if line.startswith("lr ") for value in line.split()[2:]) == [
        str(number) for number in range(8)
    ]


# -- plot -------------------------------------------------------------------------------------------------------------


def test_a_curve_is_drawn_and_fits(in_terminal: Any) -> None:
    make("falling", 0.1, *(1 / (1 + step) for step in range(500)))

    shown = in_terminal("plot", "falling", "-m", "loss", columns=70, NO_COLOR="1").splitlines()

    assert shown[0] == "loss"
    assert max(map(len, shown)) <= 70
    drawn = [line for line in shown if any(0x2800 < ord(letter) < 0x2900 for letter in line)]
    assert drawn[0].split("│")[0].strip() == "1"
    assert (drawn[0].index("│") + 2 < 14, drawn[0].strip()[-1] != "│") == (True, True)
    assert "0" in shown[-2]
    assert "499" in shown[-2]
    assert "falling" in shown[-1]
    assert "500 points, last 0.002" in shown[-1]


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 0.0],
        [1.0, 1.0],
        [math.nan, math.nan],
        [1e308, -1e308],
        [-5.0, math.inf, math.nan, 5.0],
        [1e-300, 2e-300],
        [0.0, -1.0],
    ],
)
@pytest.mark.parametrize("options", [[], ["--log"]])
def test_any_values_can_be_drawn(values: list[float], options: list[str], invoke: Any) -> None:
    make("odd", 0.1, *values)

    result = invoke("plot", "odd", "-m", "loss", *options)

    assert (result.exit_code, result.stderr) == (0, "")
    odd = sum(not math.isfinite(value) for value in values)
    low = sum(math.isfinite(value) and value <= 0 for value in values) if options else 0
    legend = result.stdout.splitlines()[-1]
    assert ((f", {odd} not finite" in legend) == bool(odd), (f", {low} not above 0" in legend) == bool(low)) == (
        True,
        True,
    )


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.99991, 0.99995], ["0.99995", "0.99993", "0.99991"]),
        ([1e12, 1e12 + 8], ["1000000000008", "1000000000004", "1000000000000"]),
        ([0.1, 0.4], ["0.4", "0.25", "0.1"]),
        ([5.0, 5.0], ["7.5", "5", "2.5"]),
    ],
)
def test_the_ends_of_an_axis_are_told_apart(values: list[float], labels: list[str]) -> None:
    for log in (False, True):
        drawn = [line.plain for line in chart([Curve(values, values)], 80, 5, "x", log=log, log_x=log)]
        marked = [line.split("│")[0].strip() for line in drawn if "│" in line]
        assert len(set(marked)) == 3
        assert len(set(drawn[-1].replace(" x ", " ").split())) == 2
        assert log or marked == labels


def test_several_runs_and_metrics_are_several_curves_and_charts(invoke: Any) -> None:
    make("one", 0.1, 0.5, 0.4)
    make("two", 0.1, 0.6, 0.3)
    with ExperimentTracker("images", "other") as tracker:
        for epoch in (1, 2):
            tracker.log_metrics({"accuracy": 0.5}, epoch=epoch)

    shown = invoke("plot", "one", "two", "other", "-m", "loss", "-m", "accuracy").stdout

    assert [line for line in shown.splitlines() if line in ("loss", "accuracy")] == ["loss", "accuracy"]
    assert shown.count("━━") == 3


def test_the_points_as_json_are_all_of_them(invoke: Any) -> None:
    make("long", 0.1, *(step % 7 for step in range(3_000)))

    (curve,) = json.loads(invoke("plot", "long", "-m", "loss", "--json").stdout)
    (thin,) = json.loads(invoke("plot", "long", "-m", "loss", "--json", "--max-points", "50").stdout)

    assert (len(curve["values"]), curve["steps"][-1], curve["x_name"]) == (3_000, 2_999, "step")
    assert len(thin["values"]) <= 50


def test_runs_whose_x_axes_differ_are_charts_of_their_own(invoke: Any) -> None:
    with ExperimentTracker("images", "by_epoch") as tracker:
        tracker.define_metric("val/*", step_metric="epoch")
        for epoch in range(10):
            tracker.log_metrics({"val/acc": epoch / 10}, step=200 * epoch, epoch=epoch)
    with ExperimentTracker("images", "by_step") as tracker:
        for epoch in range(10):
            tracker.log_metrics({"val/acc": epoch / 10}, step=200 * epoch, epoch=epoch)

    shown = invoke("plot", "by_epoch", "by_step", "by_epoch", "-m", "val/acc", "--height", "6").stdout.splitlines()

    first, second = shown[: shown.index("")], shown[shown.index("") + 1 :]
    assert (first[0], first[-2].split(), first[-1].split()[1]) == ("val/acc", ["0", "epoch", "9"], "by_epoch")
    assert (second[0], second[-2].split(), second[-1].split()[1]) == ("val/acc", ["0", "step", "1800"], "by_step")


@pytest.mark.parametrize("axis", ["epoch", "late"])
def test_points_without_an_x_are_drawn_by_their_numbers_and_that_is_what_the_axis_says(axis: str, invoke: Any) -> None:
    with ExperimentTracker("images", "bare") as tracker:
        tracker.define_metric("loss", step_metric=axis)
        for step in range(3_000):
            tracker.log_metrics({"loss": step % 7}, step=10 * step)
        if axis == "late":
            tracker.log_metrics({"late": 1.0})

    axis_line = invoke("plot", "bare", "-m", "loss").stdout.splitlines()[-2]
    (curve,) = json.loads(invoke("plot", "bare", "-m", "loss", "--json").stdout)
    (thin,) = json.loads(invoke("plot", "bare", "-m", "loss", "--json", "--max-points", "50").stdout)

    assert axis_line.split() == ["0", "point", "2999"]
    assert (curve["x_name"], curve["x"]) == ("point", list(range(3_000)))
    assert (thin["x_name"], thin["x"]) == ("point", [step // 10 for step in thin["steps"]])


# -- mistakes and hostile texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compare", "one", "another"], "no run 'another' in "),
        (["plot", "one", "-m", "los"], "the run one has no metric 'los'. Did you mean loss?"),
        (["export", "--to", "csv", "-m", "los"], "none of the runs has a metric 'los'. Did you mean loss?"),
        (
            ["export"],
            "name a file, as in -o points.csv, or a format, as in --to csv. Formats: parquet, csv, jsonl, json.",
        ),
        (["export", "-o", "x.xlsx"], "'xlsx' is not an export format. Allowed"),
        (
            ["export", "--entries", "-m", "loss", "-o", "x.csv"],
            "-m, --rank, --attempts and --max-points choose points.",
        ),
        (["export", "--entries", "--max-points", "9", "-o", "x.csv"], "-m, --rank, --attempts and --max-points choose"),
        (["export", "--entries", "-o", "x.parquet"], "'parquet' is not an export format. Allowed"),
        (["export", "--to", "csv", "--where", "lr"], "unknown name 'lr'"),
        (["export", "-o", "/dev/null/x.csv"], "/dev/null"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], says: str, invoke: Any) -> None:
    make("one", 0.1, 0.5)

    result = invoke(*arguments)

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"refunc: {says}")


def test_what_a_user_wrote_stays_text(invoke: Any) -> None:
    with ExperimentTracker(HOSTILE, HOSTILE) as tracker:
        tracker.log_hyperparams({HOSTILE: HOSTILE})
        tracker.log_metrics({HOSTILE: 1.0})
    run = str(tracker.run_id)

    shown = invoke("compare", run, run).stdout + invoke("plot", run, "-m", HOSTILE).stdout

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]" in shown
