"""`refunc plot`: groups as bands, several metrics in one chart, scatters, pictures, and single values as a table."""

from __future__ import annotations

import json
import math
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker, experiment_context
from refunc.runs.index.database import Database

pytestmark = [pytest.mark.extras, pytest.mark.once]

NAMES = [f"{model}{seed}" for model in ("cnn", "mlp") for seed in (0, 1)]


@pytest.fixture(autouse=True)
def runs(own_folder: Path) -> None:
    for model, start in (("cnn", 1.0), ("mlp", 3.0)):
        for seed in (0, 1):
            with ExperimentTracker("seeds", f"{model}{seed}") as run:
                run.log_params({"model": model, "lr": 10.0 ** -(seed + 1), "text": f"1e-{seed + 1}"})
                for step in range(0, 40, seed + 1):
                    loss = start * math.exp(-step / 20) + seed
                    run.log_metrics({"train/loss": loss, "val/loss": loss + 1}, step=step)
                run.log_metrics({"test/acc": 0.5 + seed / 4}, step=40)
                run.log_metrics({"val/acc": 0.1}, epoch=1)
                run.log_metrics({"val/acc": 0.2}, epoch=2)


def titles(output: str, of: tuple[str, ...]) -> list[str]:
    return [line for line in output.splitlines() if line in of]


def test_a_group_is_one_curve_with_a_band(invoke: Any) -> None:
    result = invoke("plot", *NAMES, "-m", "val/loss", "--group", "params.model", "--spread", "minmax", "--json")
    cnn, mlp = json.loads(result.stdout)
    assert (cnn["group"], mlp["group"]) == ({"params.model": "cnn"}, {"params.model": "mlp"})
    assert (cnn["x"][:3], cnn["n"][:3], cnn["n"][-1]) == ([0, 1, 2], [2, 2, 2], 1)
    assert (cnn["low"][0], cnn["values"][0], cnn["high"][0]) == pytest.approx((2.0, 2.5, 3.0))
    drawn = invoke("plot", *NAMES, "-m", "val/loss", "--group", "params.model").stdout
    assert drawn.count("━━") == 2
    assert "━━ cnn  2 runs, 1 at the end" in drawn
    even = invoke("plot", "cnn0", "mlp0", "-m", "val/loss", "--group", "experiment_name").stdout
    assert "━━ seeds  2 runs\n" in even


@pytest.mark.parametrize("command", [["plot"], ["report"], ["export", "-o", "x.csv"]])
def test_groups_of_more_runs_open_the_index_no_more_often(
    command: list[str], invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = (*command, "--group", "params.model", *([] if command == ["report"] else ["-m", "val/loss"]))
    opened: list[Path] = []
    connect = Database.connect

    def counted(index: Database) -> Any:
        opened.append(index.path)
        return connect(index)

    monkeypatch.setattr(Database, "connect", counted)
    invoke(*question)  # reads the journals
    counts = []
    for some in (("-n", "2"), ()):
        opened.clear()
        assert invoke(*question, *some).exit_code == 0
        counts.append(len(opened))

    assert counts[0] == counts[1]


def test_a_report_has_a_curve_for_each_group_and_tells_of_metrics_without_a_chart(
    invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs of groups were counted instead: of more than 400 there was no chart."""
    for module in ("refunc_commands.report.curves", "refunc_commands.cli.report"):
        monkeypatch.setattr(f"{module}.CURVES", 3)

    runs, groups, one = invoke("report", "-n", "4"), invoke("report", "--group", "params.model"), invoke("report")

    said = "have no chart: a report has room for 3 curves, in 2 MB."
    hint = " --group NAME draws one for all runs with equal values, and -n and --where choose fewer runs."
    assert (" 4 runs, 0 charts, " in runs.stdout, runs.stderr) == (True, f"refunc: 3 metrics {said}{hint}\n")
    hint = " A --group with fewer values, -n and --where make fewer curves."
    assert (" 4 runs, 1 chart, " in groups.stdout, groups.stderr) == (True, f"refunc: 2 metrics {said}{hint}\n")
    assert (" 1 run, 3 charts, " in one.stdout, one.stderr) == (True, "")


def test_a_report_of_many_runs_is_headed_by_the_first(
    invoke: Any, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refunc_commands.cli.report._NAMED", 3)

    def heading(*chosen: str) -> str:
        invoke("report", *chosen)
        return (own_folder / "report.html").read_text().partition("<title>")[2].partition("</title>")[0]

    assert heading("-n", "3") == "cnn1, mlp0, mlp1"
    assert heading("-n", "4") == "cnn0, cnn1, mlp0 and 1 other run"


def test_a_pattern_names_metrics_and_together_is_one_chart(invoke: Any) -> None:
    apart = invoke("plot", "cnn0", "-m", "*/loss").stdout
    assert titles(apart, ("train/loss", "val/loss")) == ["train/loss", "val/loss"]
    one = invoke("plot", "cnn0", "-m", "*/loss", "--together").stdout
    assert titles(one, ("train/loss, val/loss",)) == ["train/loss, val/loss"]
    assert one.count("━━") == 2
    assert "no metric '*/los'" in invoke("plot", "cnn0", "-m", "*/los").stderr


def test_other_axes_are_other_charts_even_together(invoke: Any) -> None:
    drawn = invoke("plot", "cnn0", "-m", "val/*", "--together").stdout
    assert titles(drawn, ("val/loss", "val/acc")) == ["val/loss", "val/acc"]
    assert ["epoch" in line for line in drawn.splitlines() if line.strip().startswith(("0 ", "1 "))] == [False, True]


def test_single_values_are_a_table(invoke: Any) -> None:
    printed = invoke("plot", *NAMES, "-m", "test/acc").stdout
    assert "│" not in printed
    assert [line.split() for line in printed.splitlines()] == [
        ["run", "test/acc"],
        ["cnn0", "0.5"],
        ["cnn1", "0.75"],
        ["mlp0", "0.5"],
        ["mlp1", "0.75"],
    ]


@pytest.mark.parametrize("param", ["params.lr", "params.text"])
def test_a_metric_against_a_param_is_a_point_for_each_run(param: str, invoke: Any) -> None:
    (found,) = json.loads(invoke("plot", *NAMES, "-m", "test/acc", "--against", param, "--json").stdout)
    assert sorted(zip(found["x"], found["values"], strict=True)) == [(0.01, 0.75)] * 2 + [(0.1, 0.5)] * 2
    drawn = invoke("plot", *NAMES, "-m", "test/acc", "--against", param, "--log-x").stdout
    assert "4 runs" in drawn
    assert param in drawn


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-m", "no/*"], "none of the runs has a metric 'no/*'"),
        (["-m", "val/loss", "--against", "params.model"], "--group params.model draws one band for each value"),
        (["-m", "val/loss", "--against", "params.depth"], "no run has a param 'depth'. Known params: lr, model, text."),
        (["-m", "val/loss", "--against", "params.lr", "--group", "params.lr"], "give one of them"),
        (["-m", "val/loss", "--rank", "0", "--group", "params.lr"], "leave it out with --group"),
        (["-m", "val/loss", "-o", "loss.jpg"], "Allowed: a name that ends in .png, .svg, .pdf"),
        (["-m", "val/loss", "-o", "loss.png", "--json"], "give one of them"),
        (["-m", "val/loss", "--group", "param.model"], "unknown name 'param'. Did you mean params?"),
    ],
)
def test_a_question_without_an_answer_is_told_why(options: list[str], said: str, invoke: Any) -> None:
    result = invoke("plot", *NAMES, *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("loss.jpg").exists()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_picture_is_the_same_for_the_same_question(ending: str, require: Any, invoke: Any) -> None:
    require(find_spec("matplotlib") is not None, "pip install matplotlib")
    for name in ("one", "two"):
        options = ["-m", "val/loss", "-m", "test/acc", "--group", "params.model", "-o", f"{name}.{ending}"]
        result = invoke("plot", *NAMES, *options)
        assert result.exit_code == 0, result.stderr
        assert f"{name}.{ending}: 1 chart, 2 lines, a table of single values" in result.stdout
    first, second = Path(f"one.{ending}").read_bytes(), Path(f"two.{ending}").read_bytes()
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending])
    assert len(first) == len(second)
    if ending == "svg":
        assert b"cnn (2 runs, 1 at the end)" in first
        assert b"test/acc" in first  # in the head of the table
        assert b"0.625" in first


def test_a_picture_counts_all_values_that_are_not_finite_though_it_draws_some(require: Any, invoke: Any) -> None:
    require(find_spec("matplotlib") is not None, "pip install matplotlib")
    with ExperimentTracker("seeds", "long") as run:
        for step in range(6_000):
            run.log_metrics({"loss": math.nan if step % 2 else 1.0}, step=step)
    assert invoke("plot", "long", "-m", "loss", "-o", "long.svg").exit_code == 0
    assert "long (3,000 not finite)" in Path("long.svg").read_text()


def test_a_point_without_neighbours_is_seen_in_a_picture(require: Any, invoke: Any) -> None:
    require(find_spec("matplotlib") is not None, "pip install matplotlib")
    with ExperimentTracker("seeds", "gaps") as run:
        for step, value in enumerate([1.0, math.nan, 2.0, math.nan, 3.0, 4.0]):
            run.log_metrics({"loss": value}, step=step)
    assert invoke("plot", "gaps", "-m", "loss", "-o", "gaps.svg").exit_code == 0
    drawn = Path("gaps.svg").read_text()
    assert "gaps (2 not finite)" in drawn
    line = drawn[drawn.index('id="line2d_', drawn.index("matplotlib.axis_2")) :]
    assert sum("<use" in each and "stroke: #0072b2" in each for each in line.splitlines()) >= 2


def test_without_matplotlib_it_says_so_and_what_else_there_is(invoke: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def find_spec(self, name: str, *_: Any) -> None:
            if name.partition(".")[0] == "matplotlib":
                raise ModuleNotFoundError(f"No module named {name!r}", name="matplotlib")

    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    result = invoke("plot", "cnn0", "-m", "val/loss", "-o", "loss.png")
    assert result.exit_code == 2
    assert "plot -o needs matplotlib, which is not installed (pip install matplotlib)." in result.stderr
    assert "`refunc plot` draws in the terminal" in result.stderr
    assert not Path("loss.png").exists()


def test_names_of_strangers_are_drawn_letter_by_letter(require: Any, invoke: Any) -> None:
    require(find_spec("matplotlib") is not None, "pip install matplotlib")
    hostile = "_$\\frac{1}{0}$\n<script>"
    with ExperimentTracker("seeds", hostile) as run:
        for step in range(3):
            run.log_metrics({hostile: step}, step=step)
    result = invoke("plot", str(run.run_id), "-m", hostile, "-o", "hostile.svg")
    assert result.exit_code == 0, result.stderr
    assert b"<script>" not in Path("hostile.svg").read_bytes()


# -- ls --group --------------------------------------------------------------------------------------------------------


def test_ls_has_a_line_for_each_group(invoke: Any) -> None:
    printed = invoke("ls", "--group", "params.model", "-m", "test/acc", "-m", "*/loss.min").stdout
    lines = [line.split() for line in printed.splitlines() if line]
    assert lines[0][:4] == ["params.model", "runs", "n", "test/acc"]
    assert lines[1][:4] == ["cnn", "2", "2", "0.625"]
    assert [line[3] for line in lines if line[0] == "params.model"] == ["test/acc", "train/loss.min", "val/loss.min"]
    found = json.loads(invoke("ls", "--group", "params.model", "-m", "test/acc", "--json").stdout)
    assert [row["params.model"] for row in found[0]["groups"]] == ["cnn", "mlp"]
    assert found[0]["groups"][0]["std"] == pytest.approx(0.25 / math.sqrt(2))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--group", "params.model"],
            "--group needs a metric, -m NAME, to compare the groups by. Known metrics: test/acc, ",
        ),
        (["-m", "val/loss"], "For a column: --columns metrics.val/loss"),
        (["--group", "params.modle", "-m", "val/loss"], "no run has a param 'modle'. Did you mean params.model?"),
        (
            ["--group", "params.model", "-m", "val/los"],
            "none of the runs has a metric 'val/los'. Did you mean val/loss",
        ),
        (["--group", "params.model", "-m", "val/loss", "--columns", "status"], "leave it out with --group"),
    ],
)
def test_a_half_question_is_told(options: list[str], said: str, invoke: Any) -> None:
    result = invoke("ls", *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_values_that_are_lists_or_only_equal_to_others_are_groups_of_their_own(invoke: Any) -> None:
    for number, value in enumerate(([0.9, 0.99], [0.9, 0.99], True, 1, 1)):
        with ExperimentTracker("other", f"run{number}") as run:
            run.log_params({"value": value})
            for step in range(3):
                run.log_metrics({"val/loss": 1.0}, step=step)
    result = invoke("plot", "--experiment", "other", "-m", "val/loss", "--group", "params.value")
    assert result.exit_code == 0
    notes = [" ".join(line.split()[1:]) for line in result.stdout.splitlines() if "━━" in line]
    assert notes == ["[0.9, 0.99] 2 runs", "true 1 run", "1 2 runs"]


def test_a_metric_that_is_named_as_a_statistic_is_not_plotted_together_with_the_statistic(invoke: Any) -> None:
    for lr, metrics in ((0.1, {"loss": 1.0, "loss.min": 7.0}), (0.2, {"loss": 2.0})):
        with experiment_context("digits", parameters={"lr": lr}) as run:
            run.log_metrics(metrics, step=0)

    found = json.loads(invoke("plot", "--against", "params.lr", "-m", "loss.min", "--json").stdout)

    assert [list(line["values"]) for line in found] == [[7.0]]


@pytest.mark.parametrize("by", [(), ("--group", "run_name")], ids=["runs", "groups"])
def test_a_metric_with_too_many_curves_leaves_room_for_others(
    by: tuple[str, ...], invoke: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("refunc_commands.report.curves", "refunc_commands.cli.report"):
        monkeypatch.setattr(f"{module}.CURVES", 3)
    for number in range(4):
        with experiment_context("digits", f"run {number}") as run:
            for step in range(2):
                run.log_metrics({"a": 1.0, **({"b": 1.0} if number < 3 else {})}, step=step)

    said = invoke("report", "--experiment", "digits", *by)

    assert " 4 runs, 1 chart, 6 of 6 points drawn" in said.stdout
    assert "1 metric has no chart" in said.stderr
    to_stdout = invoke("report", "--experiment", "digits", *by, "-o", "-")
    assert to_stdout.stdout.startswith("<!doctype html>")
    assert to_stdout.stderr == said.stderr
    assert invoke("report", "-o", "-", "--json").exit_code == 2


def test_a_group_has_the_same_name_in_tables_charts_reports_and_files(invoke: Any) -> None:
    wanted = {"[64, 32]": [64, 32], "true": True, "NaN": math.nan, "odd": "odd"}
    for value in wanted.values():
        with experiment_context("digits", parameters={"layers": value}) as run:
            for step in range(2):
                run.log_metrics({"loss": 1.0}, step=step)

    def said(*command: str) -> str:
        return str(invoke(*command, "--experiment", "digits", "--group", "params.layers").stdout)

    table, chart = said("ls", "-m", "loss").splitlines()[1:], said("plot", "-m", "loss").splitlines()[-4:]
    assert [line.strip().rpartition("  1  1  ")[0].strip() for line in table] == list(wanted)
    assert [line.partition("━━ ")[2].rpartition("  1 run")[0] for line in chart] == list(wanted)
    said("report", "-o", "report.html")
    assert re.findall(r'"label":"([^"]*) \(1 run\)"', Path("report.html").read_text()) == list(wanted)
    said("export", "-o", "groups.jsonl")
    rows = map(json.loads, Path("groups.jsonl").read_text().splitlines())
    assert list(dict.fromkeys(row["params.layers"] for row in rows)) == list(wanted)
