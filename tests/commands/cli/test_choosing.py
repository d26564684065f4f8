"""Choosing runs: the same options in every command, and the error for a question that has no answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import experiment_context

pytestmark = pytest.mark.once

Invoke = Callable[..., Any]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--where", "params.lr < 0.05"], ["came", "good"]),
        (["--where", "start_time > '2d'"], ["came", "good", "last"]),
        (["--where", "duration >= '3m' and params.model !~ 'm*'"], ["good"]),
        (["--where", "imported_from == 'mlflow'"], ["came"]),
        (["--where", "params.model in ('mlp', 'vit')"], ["old", "last"]),
        (["--since", "25h", "--until", "2h"], ["good"]),
        (["--experiment", "digits", "-n", "2"], ["good", "last"]),
        (["--sort", "params.lr", "-n", "3"], ["came", "good", "last"]),
        (["--where", "'fail' in status"], ["came"]),
        (["--import-id", "3f2a"], ["came"]),
        (["good", "3f2a99", "old", "--where", "params.lr < 0.05"], ["good", "came"]),
        (["--where", "params.lerning_rate < 1", "--allow-missing"], []),
        (["--where", "tags.checked is missing", "--allow-missing", "-n", "1"], ["last"]),
    ],
)
@pytest.mark.usefixtures("store")
def test_the_options_choose_the_same_runs_in_every_command(
    options: list[str], expected: list[str], invoke: Invoke
) -> None:
    assert [run["run_name"] for run in json.loads(invoke("ls", "--json", *options).stdout)] == expected
    compared = invoke("compare", "--json", *options)
    exported = invoke("export", "--json", "-o", "points.csv", *options)
    planned = json.loads(invoke("gc", "--json", *options).stdout)["chosen"]
    assert sorted(Path(each["path"]).name.split("_")[0] for each in planned) == sorted(expected)
    if not expected:
        for result in (compared, exported):
            assert (result.exit_code, "that match params.lerning_rate < 1." in result.stderr) == (2, True)
        return
    assert [run["run_name"] for run in json.loads(compared.stdout)["runs"]] == expected
    reported = json.loads(invoke("report", "--json", "-o", "page.html", *options).stdout)["runs"]
    assert reported == json.loads(exported.stdout)["runs"]
    drawn = json.loads(invoke("plot", "--json", "-m", "val/loss", *options).stdout)
    assert len(drawn) == len(reported) == len(expected)


@pytest.mark.parametrize(
    "command",
    [
        ("ls", "--where", "params.model * 2 > 1"),
        ("ls", "--sort", "params.model * 2"),
        ("ls", "--group=-params.model", "-m", "val/loss"),
        ("compare", "--group=-params.model", "-m", "val/loss"),
        ("plot", "--group=-params.model", "-m", "val/loss"),
        ("plot", "--against=-params.model", "-m", "val/loss"),
        ("report", "--group=-params.model"),
        ("export", "--group=-params.model", "-o", "groups.csv"),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_calculation_with_texts_is_refused(command: tuple[str, ...], invoke: Invoke) -> None:
    result = invoke(*command)

    assert result.exit_code == 2
    assert "params.model is a text in every run that has it, such as" in result.stderr
    assert "a calculation needs numbers" in result.stderr


@pytest.mark.parametrize("order", ["-params.model", "-(params.model)", "-params['model']"])
@pytest.mark.usefixtures("store")
def test_a_text_with_a_minus_is_sorted_and_shown_as_it_is(order: str, invoke: Invoke) -> None:
    table = invoke("ls", "--sort", order, "-n", "1", "--columns", "status").stdout

    heading, line = table.splitlines()
    assert heading.split() == ["NAME", "status", "params.model", "ID"]
    assert line.split()[2] == "vit"


@pytest.mark.usefixtures("store")
def test_without_a_name_it_is_the_newest_run_that_fits(invoke: Invoke) -> None:
    def shown(*options: str) -> str:
        return str(json.loads(invoke("show", "--json", *options).stdout)["run_name"])

    assert shown("-n", "1") == "last"
    assert shown("--sort", "params.lr", "-n", "1") == "came"
    several = invoke("show", "-n", "2")
    assert (several.exit_code, several.stderr) == (
        2,
        "refunc: one run is shown. `refunc compare -n 2` shows several.\n",
    )

    assert shown() == "last"
    assert shown("--where", "params.model == 'resnet'") == "good"
    assert shown("--sort", "-params.lr") == "old"
    assert shown("3f2a99c0ffee") == shown("--import-id", "3f2a") == shown("3f2a") == "came"
    for name in ("k3f9a2b7", "run-20240101_120000-k3f9a2b7", "offline-run-20240101_120000-k3f9a2b7"):
        assert shown(name) == shown("--import-id", name) == "old"
    assert "line of last" in invoke("logs").stdout
    assert "line of came" in invoke("tail", "--experiment", "moved").stdout
    assert [run["run_name"] for run in json.loads(invoke("compare", "--json").stdout)["runs"]] == ["good", "last"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--where", "params.lerning_rate < 1"],
            "no run has a param 'lerning_rate'. Known params: lr, model. (column 1)",
        ),
        (["--where", "params.modell == 'vit'"], "no run has a param 'modell'. Did you mean params.model?"),
        (["--sort", "metrics.vall/loss"], "no run has a metric 'vall/loss'. Did you mean metrics['val/loss']?"),
        (
            ["--where", "metrics.val/loss < 1"],
            "unknown name 'loss'. A name with other characters is written in brackets",
        ),
        (["--sort", "metrics['vall/loss'].min"], "no run has a metric 'vall/loss'. Did you mean metrics['val/loss']?"),
        (["--where", "params.acc > 0"], "no run has a param 'acc'. There is a metric of this name: metrics.acc."),
        (
            ["--where", "metrics.acc.median < 1"],
            "the metric 'acc' has no value 'median'. Did you mean mean? It has last, ",
        ),
        (["--where", "status == 'FAILED'"], "no run has the status 'FAILED'. Did you mean 'failed'? (column 11)"),
        (
            ["--where", "status == 'FINISHED'"],
            "no run has the status 'FINISHED'. Did you mean 'completed'? (column 11)",
        ),
        (["--where", "params.model < 1"], "params.model is a text in every run that has it, such as 'vit'"),
        (["--where", "params.lr ~ '1*' and params.model ~ 5"], "a pattern is a quoted text"),
        (["--where", "params.model == None"], "no run has None as params.model. Write params.model is missing"),
        (["--where", "parent_id == None"], "no run has None as parent_id. Write parent_id is missing"),
        (["--where", "duration == None"], "no run has None as duration. Write duration is missing"),
        (["--where", "params.lr in (None,)"], "no run has None as params.lr."),
        (["--where", "params.model"], "params.model is a text in every run that has it, such as 'vit': compare it, or"),
        (["--where", "not metrics.acc"], "metrics.acc is a number in every run that has it, such as 0.5: compare it"),
        (["--where", "status ~ 'FAIL*'"], "no status fits 'FAIL*'. Known: completed, failed, "),
        (["--where", "metrics.acc == 'high'"], "it cannot be compared with a text"),
        (
            ["--columns", "params.lr,metrics.val/los.min"],
            "no run has a metric 'val/los'. Did you mean metrics['val/loss']?",
        ),
        (["--columns", "*"], "name the columns one by one, with commas between them"),
        (["--columns", "params.lr metrics.acc"], "name the columns one by one, with commas between them"),
        (["--where", "params.lr", "==", "0.1"], "put the expression in quotes, so that it is one argument"),
        (["--where", "status", "in", "(failed,)"], "put the expression in quotes, so that it is one argument"),
        (
            ["--where", "metrics.acc == 'nan'"],
            "metrics.acc is a number in every run that has it, such as 0.5: nothing eq",
        ),
        (["--sort", "metrics.acc DESC"], "write a minus to sort the highest first"),
        (["--sort", "metrics.acc, params.lr"], "a list is not one value to sort or group by"),
        (["--group", "params.lr,params.model", "-m", "acc"], "a list is not one value to sort or group by"),
        (
            ["--where", "params.lr < 1", "--where", "params.lr > 0"],
            "it is given 2 times. Join the expressions with `and`",
        ),
        (["--experiment", "digits", "--experiment", "moved"], "it is given 2 times. Write --where"),
        (["--sort", "params.lr", "--sort", "status"], "it is given 2 times. Runs are sorted by one expression."),
        (["--columns", "parms.lr"], "unknown name 'parms'. Did you mean params?"),
        (["--experiment", "digit"], "no run of an experiment 'digit'. Did you mean digits?"),
        (["--import-id", "zzz"], "no runs with the id zzz in another tracker"),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_question_without_an_answer_is_told_why(options: list[str], says: str, invoke: Invoke) -> None:
    result = invoke("ls", *options)

    assert result.stdout == ""
    assert result.stderr.startswith(f"refunc: {says}") or says in result.stderr, result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command", ["ls", "show", "compare", "plot -m acc", "report", "export -o x.csv", "logs", "tag a=b"]
)
@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("params.model == 'VIT'", "no run has 'VIT' as params.model. Did you mean 'vit'?"),
        ("params.model in ('resnt', 'vitt')", "no run has 'resnt' as params.model. Did you mean 'resnet'?"),
        ("experiment_name == 'digit'", "no run has 'digit' as experiment_name. Did you mean 'digits'?"),
        ("run_name ~ '^goo.*'", "'^goo.*' is a pattern in which * is any text, and no regular expression."),
        ("run_name ~ 'oo'", "no run has 'oo' as run_name. A pattern fits a whole text: write '*oo*' for a part of one"),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_text_that_no_run_has_is_told_with_the_nearest_one(
    command: str, question: str, says: str, invoke: Invoke
) -> None:
    result = invoke(*command.split(), "--where", question)

    first, last = result.stderr.splitlines()[0], result.stderr.splitlines()[-1]
    assert first == f"refunc: {says}"
    assert last.endswith(f"that match {question}.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["plot"], "-m says which metric is drawn. Known metrics: acc, val/loss."),
        (["plot", "-m", "zz*"], "the run last has no metric 'zz*'. Known metrics: acc, val/loss."),
        (["plot", "-m", "val/los"], "the run last has no metric 'val/los'. Did you mean val/loss?"),
        (
            ["ls", "--group", "params.model"],
            "--group needs a metric, -m NAME, to compare the groups by. Known metrics: ",
        ),
        (["plot", "-m", "acc", "--group", "params.modl"], "no run has a param 'modl'. Did you mean params.model?"),
        (["plot", "-m", "acc", "--against", "params.lrr"], "no run has a param 'lrr'. Did you mean params.lr?"),
        (["export", "-o", "g.csv", "--group", "params.modl"], "no run has a param 'modl'. Did you mean params.model?"),
        (
            ["export", "-o", "g.csv", "--group", "status", "-m", "ac"],
            "none of the runs has a metric 'ac'. Did you mean acc?",
        ),
        (["export", "-o", "g.csv", "--group", "status", "--rank", "0"], "--group is of the usual curves: leave out"),
        (["report", "--group", "params.modl"], "no run has a param 'modl'. Did you mean params.model?"),
        (["ls", "--group", "params.modl", "-m", "acc"], "no run has a param 'modl'. Did you mean params.model?"),
        (["gc", "--status", "FAILED", "--delete", "--yes"], "no run has the status 'FAILED'. Did you mean 'failed'?"),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_command_names_the_names_that_there_are(arguments: list[str], says: str, invoke: Invoke) -> None:
    result = invoke(*arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"refunc: {says}"), result.stderr
    assert "\\n" not in result.stderr


@pytest.mark.usefixtures("store")
def test_groups_and_points_are_of_all_runs_unless_some_are_chosen(invoke: Invoke) -> None:
    bands = json.loads(invoke("plot", "--json", "-m", "acc", "--group", "params.model").stdout)
    points = json.loads(invoke("plot", "--json", "-m", "acc", "--against", "params.lr").stdout)
    reported = json.loads(invoke("report", "--json", "--group", "params.model").stdout)

    assert [band["group"]["params.model"] for band in bands] == ["vit", "resnet", "mlp"]
    assert points[0]["x"] == [0.1, 0.001, 0.01, 0.05]
    assert len(reported["runs"]) == 4
    assert len(json.loads(invoke("plot", "--json", "-m", "acc", "--group", "params.model", "-n", "1").stdout)) == 1


@pytest.mark.parametrize(
    ("chosen", "title"),
    [
        (["good"], "acc.max"),
        (["old", "last"], "acc"),
        (["old", "good"], "acc (last, max)"),
    ],
)
@pytest.mark.usefixtures("store")
def test_the_value_of_a_metric_that_is_shown_is_said(chosen: list[str], title: str, invoke: Invoke) -> None:
    [group] = json.loads(invoke("ls", "--json", "--group", "status", "-m", "acc", *chosen).stdout)
    [point] = json.loads(invoke("plot", "--json", "-m", "acc", "--against", "params.lr", *chosen).stdout)

    assert f" {title} mean " in invoke("ls", "--group", "status", "-m", "acc", *chosen).stdout
    assert (group["metric"], group["title"], point["metric"]) == ("acc", title, title)
    if len(chosen) > 1:
        assert f"\n{title} " in invoke("compare", *chosen).stdout


@pytest.mark.usefixtures("store")
def test_points_may_be_of_any_statistic(invoke: Invoke) -> None:
    points = json.loads(invoke("plot", "--json", "-m", "*/loss.count", "--against", "params.lr").stdout)
    assert [(line["metric"], line["values"]) for line in points] == [("val/loss.count", [1, 1, 1, 1])]
    refused = invoke("plot", "--json", "-m", "val/los.max", "--against", "params.lr")
    assert refused.stderr == "refunc: none of the runs has a metric 'val/los'. Did you mean val/loss?\n"


@pytest.mark.usefixtures("store")
def test_an_export_takes_patterns_of_metrics_as_a_plot_does(invoke: Invoke) -> None:
    assert json.loads(invoke("export", "--json", "-m", "*/loss", "-o", "x.csv").stdout)["points"] == 4
    assert json.loads(invoke("export", "--json", "-m", "*", "-m", "acc", "-o", "x.csv").stdout)["points"] == 8
    refused = invoke("export", "-m", "zz*", "-o", "x.csv").stderr
    assert refused == "refunc: none of the runs has a metric 'zz*'. Known metrics: acc, val/loss.\n"


@pytest.mark.usefixtures("store")
def test_lines_that_are_not_there_are_said(invoke: Invoke) -> None:
    for command in ("logs", "tail"):
        nothing = invoke(command, "last", "--grep", "zzz")
        assert (nothing.exit_code, nothing.stdout) == (0, "")
        assert nothing.stderr == "refunc: no lines of the run last (00000003) match.\n"
        assert invoke(command, "last", "--level", "error").stderr == nothing.stderr
        assert invoke(command, "last").stderr == ""
    assert invoke("logs", "last", "--around", "acc", "--at", "max", "--grep", "zzz").stderr == nothing.stderr
    assert invoke("tail", "last", "-n", "0").stderr == ""


@pytest.mark.usefixtures("store")
def test_a_selection_of_nothing_is_said_when_removing(invoke: Invoke) -> None:
    chosen = ("gc", "--where", "params.lr > 5")

    assert invoke(*chosen).stdout.endswith("no runs or files match\n")
    assert invoke(*chosen, "--delete", "--yes").stdout == "no runs or files match: 0 B freed\n"


@pytest.mark.usefixtures("store")
def test_groups_are_exported_with_the_numbers_that_are_listed(invoke: Invoke, own_folder: Path) -> None:
    said = invoke("export", "--group", "params.model", "-m", "acc", "-o", "groups.jsonl").stdout
    rows = [json.loads(line) for line in (own_folder / "groups.jsonl").read_text().splitlines()]
    drawn = json.loads(invoke("plot", "--json", "-m", "acc", "--group", "params.model").stdout)

    assert f"{len(rows)} rows of " in said
    for band in drawn:
        own = [row for row in rows if row["params.model"] == band["group"]["params.model"]]
        assert [row["x"] for row in own] == band["x"]
        assert [row["mean"] for row in own] == band["values"]
        assert [row["n"] for row in own] == band["n"]


@pytest.mark.usefixtures("store")
def test_groups_are_compared_as_they_are_listed(invoke: Invoke) -> None:
    listed = invoke("ls", "--group", "params.model", "-m", "acc", "-m", "val/loss").stdout
    assert invoke("compare", "--group", "params.model", "-m", "acc", "-m", "val/loss").stdout == listed

    every = json.loads(invoke("compare", "--group", "params.model", "--json").stdout)
    assert {table["metric"] for table in every} == {"acc", "val/loss"}
    assert sum(group["runs"] for group in every[0]["groups"]) == len(invoke("ls").stdout.splitlines()) - 1
    chosen = json.loads(invoke("compare", "good", "last", "--group", "params.model", "-m", "acc", "--json").stdout)
    assert sum(group["runs"] for group in chosen[0]["groups"]) == 2
    assert "-m is for the runs of a --group" in invoke("compare", "-m", "acc").stderr
    assert "--diff is for single runs" in invoke("compare", "--group", "status", "--diff").stderr


@pytest.mark.usefixtures("store")
def test_columns_may_be_given_one_by_one(invoke: Invoke) -> None:
    together = invoke("ls", "--columns", "params.lr,status").stdout
    assert invoke("ls", "--columns", "params.lr", "--columns", "status").stdout == together


@pytest.mark.usefixtures("store")
def test_what_was_asked_for_is_shown(invoke: Invoke) -> None:
    heading, *lines = invoke(
        "ls", "--sort", "metrics['val/loss'].min", "--where", "params.lr < 0.05"
    ).stdout.splitlines()
    assert heading.split()[5:7] == ["metrics.val/loss.min", "params.lr"]
    assert [line.split()[6:8] for line in lines] == [["0.333333", "0.01"], ["0.5", "1e-3"]]
    assert "acc.max=0.5" in lines[0]
    assert " acc=0.5" in lines[1]

    chosen = ("--columns", "params.lr,metrics.val/loss.min,status,tags.team", "--allow-missing", "-n", "2")
    rows = [line.split() for line in invoke("ls", *chosen).stdout.splitlines()]
    assert rows[0] == ["NAME", "params.lr", "metrics.val/loss.min", "status", "tags.team", "ID"]
    assert rows[1:] == [
        ["good", "0.01", "0.333333", "completed", "-", "00000002"],
        ["last", "0.05", "0.25", "completed", "-", "00000003"],
    ]
    twice = ("--columns", "metrics.val/loss", "--columns", "params.model")
    assert invoke("ls", *twice).stdout == invoke("ls", "--columns", "metrics.val/loss,params.model").stdout
    (run,) = json.loads(invoke("ls", "--json", "--columns", "metrics.val/loss,params.model", "-n", "1").stdout)
    assert run["columns"] == {"metrics.val/loss": 0.25, "params.model": "mlp"}
    assert run["params"] == {"lr": 0.05, "model": "mlp"}


def test_a_name_with_a_dot_and_a_name_in_a_name_have_columns_of_their_own(invoke: Any) -> None:
    params = {"a.b": 1, "a": {"b": 2}}
    with experiment_context("e", parameters=params) as run:
        run.log_metrics({"loss": 0.5, "loss.min": 7.0}, step=0)
    names = ["params['a.b']", "params.a.b", "metrics['loss.min']", "metrics.loss.min", "metrics['loss.min'].max"]

    (line,) = json.loads(invoke("ls", "--json", "--columns", ",".join(names)).stdout)
    heading, values = invoke("ls", "--columns", ",".join(names)).stdout.splitlines()

    assert line["columns"] == dict(zip(names, [1, 2, 7.0, 0.5, 7.0], strict=True))
    assert heading.split()[1:-1] == names
    assert values.split()[-6:-1] == ["1", "2", "7", "0.5", "7"]
    heading = invoke("ls", "--where", "params['a.b'] == 1 and params.a.b == 2").stdout.splitlines()[0]
    assert heading.split()[5:7] == names[:2]


def test_where_no_run_fits_the_runs_of_the_store_are_not_searched_for_others(invoke: Invoke, own_folder: Path) -> None:
    """The hint is for a folder without runs. A run may have a store inside, and looking costs as much as its files."""
    with experiment_context("digits", "outer") as run:
        run.log_metrics({"loss": 0.5}, step=0)
    [folder] = (own_folder / "experiments").glob("*outer*")
    (folder / "inner").mkdir()
    (folder / "inner" / "run.json").write_text("{}")

    line = invoke("compare", "--until", "2001-01-01").stderr

    assert line == f"refunc: no runs of that time in {own_folder / 'experiments'}.\n"
