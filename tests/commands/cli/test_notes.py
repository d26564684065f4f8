"""An answer that is not the whole answer, or may not be the one that was meant, has a note on stderr."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.journal.codec import encode_line

pytestmark = pytest.mark.once

Invoke = Callable[..., Any]


@pytest.mark.parametrize(
    ("statistic", "why"),
    [
        ("max", "its points are NaN only"),
        ("best", "define_metric(goal=...) says which value is the best"),
        ("last_step", "its points have no step"),
    ],
)
def test_why_no_run_has_a_value_of_a_metric_is_told(statistic: str, why: str, store: Path, invoke: Invoke) -> None:
    journal = store / "old_00000000" / "journal" / "other.000000.jsonl"
    line = {"seq": 0, "time": time.time(), "kind": "metrics", "metrics": {"odd": math.nan}}
    journal.write_bytes(encode_line({"kind": "segment", "format": 1, "logger": "l"}) + encode_line(line))
    told = f"refunc: no run has a value for metrics.odd.{statistic}: {why} (column 1)\n"
    assert invoke("ls", "--where", f"metrics.odd.{statistic} > 0").stderr == told


@pytest.mark.parametrize("comparison", ["!= 'mlflow'", "not in ('mlflow', 'aim')", "!~ 'ml*'"])
@pytest.mark.usefixtures("store")
def test_runs_without_the_value_are_told_where_another_one_is_asked_for(comparison: str, invoke: Invoke) -> None:
    result = invoke("ls", "--json", "--where", f"imported_from {comparison}")
    assert [run["run_name"] for run in json.loads(result.stdout)] == ["old"]
    told = "2 runs have no imported_from, and so not another one; `or imported_from is missing` adds them"
    assert told in result.stderr
    both = invoke("ls", "--json", "--where", f"imported_from {comparison} or imported_from is missing")
    assert ([run["run_name"] for run in json.loads(both.stdout)], both.stderr) == (["old", "good", "last"], "")
    assert invoke("ls", "--where", "params.lr != 0.1 and imported_from != None").stderr == ""


@pytest.mark.parametrize(
    ("comparison", "names", "is_told"),
    [
        ("in ('mlp')", ["last"], False),
        ("not in ('vit')", ["came", "good", "last"], False),
        ("in 'mlp'", ["last"], False),
        ("in 'resnet vit'", ["old", "came", "good"], True),
        ("not in 'resnet vit'", ["last"], True),
        ("in 'res'", [], True),
        ("not in 'res'", ["old", "came", "good", "last"], True),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_text_that_is_searched_is_told_where_a_list_of_one_is_another_question(
    comparison: str, names: list[str], is_told: bool, invoke: Invoke
) -> None:
    word, _, text = comparison.strip("'").partition(" '")
    told = f"refunc: params.model {word} '{text}' asks whether the value is a part of '{text}'; "
    told += f"write {word} ('{text}') for the value itself, and '{text}' {word} params.model to search it\n"

    result = invoke("ls", "--json", "--where", f"params.model {comparison}")

    assert [run["run_name"] for run in json.loads(result.stdout or "[]")] == names
    assert result.stderr == (told if is_told else "")


@pytest.mark.parametrize("cache", ["on", "off"])
def test_a_metric_with_the_name_of_a_statistic_hides_neither_and_is_told(
    cache: str, store: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All runs have the metric acc, and `old` has acc.min besides."""
    monkeypatch.setenv("REFUNC_CACHE", cache)
    journal = store / "old_00000000" / "journal" / "other.000000.jsonl"
    line = {"seq": 0, "time": time.time(), "kind": "metrics", "metrics": {"acc.min": 7.0, "only.min": 8.0}}
    journal.write_bytes(encode_line({"kind": "segment", "format": 1, "logger": "l"}) + encode_line(line))
    told = "refunc: metrics.acc.min is the min of the metric 'acc'; "
    told += "write metrics['acc.min'].last for the metric 'acc.min'\n"

    for _ in range(2):  # read, and from the index
        for options, values, note in (
            (("--columns", "metrics.acc.min"), [0.5, 0.5, 0.5, 0.5], told),
            (("--columns", "metrics['acc.min'].last"), [7.0, None, None, None], ""),
            (("--columns", "metrics.acc.min.last"), [7.0, None, None, None], ""),
            (("--columns", "metrics['acc.min']"), [7.0, None, None, None], ""),
            (("--columns", "metrics.only.min"), [8.0, None, None, None], ""),
        ):
            result = invoke("ls", "--json", *options)
            assert [next(iter(run["columns"].values())) for run in json.loads(result.stdout)] == values
            assert result.stderr == note
    assert invoke("ls", "--where", "metrics.acc.min < 1 and metrics['acc'].min > 0").stderr == told
    assert invoke("ls", "--sort", "-metrics.acc.min").stderr == told
    assert invoke("ls", "--where", "metrics['acc.min'] > 1").stderr == ""


def test_values_of_another_kind_are_told_where_others_match(store: Path, invoke: Invoke) -> None:
    journal = store / "old_00000000" / "journal" / "other.000000.jsonl"
    line = {"seq": 0, "time": time.time(), "kind": "params", "params": {"lr": "auto"}}
    journal.write_bytes(encode_line({"kind": "segment", "format": 1, "logger": "l"}) + encode_line(line))

    result = invoke("ls", "--json", "--where", "params.lr < 1")

    assert [run["run_name"] for run in json.loads(result.stdout)] == ["came", "good", "last"]
    assert result.stderr == "refunc: 1 run has a text as params.lr, such as 'auto', which cannot be compared with 1\n"


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (
            "params.model ~ 'Res*'",
            "'Res*' fits no params.model: capital letters count. It would fit 'resnet' without them.",
        ),
        ("params.model ~ 'dense*'", None),
        ("params.amp == 'True'", "no run has the text 'True' as params.amp. Did you mean True?"),
        ("params.amp in ('true', 'x')", "no run has the text 'true' as params.amp. Did you mean True?"),
        ("params.amp == False", "no run has False as params.amp. Did you mean 'False', the text?"),
    ],
)
def test_a_near_answer_is_told_where_runs_have_values_of_several_kinds(
    question: str, told: str | None, store: Path, invoke: Invoke
) -> None:
    for name, value in (("old", True), ("came", "False"), ("good", "no")):
        (folder,) = store.glob(f"{name}_*")
        line = {"seq": 0, "time": time.time(), "kind": "params", "params": {"amp": value}}
        data = encode_line({"kind": "segment", "format": 1, "logger": "l"}) + encode_line(line)
        (folder / "journal" / "other.000000.jsonl").write_bytes(data)

    result = invoke("ls", "--where", question)

    assert (result.exit_code, result.stdout) == (0, "")
    nothing = f"refunc: no runs in {store} that match {question}.\n"
    assert result.stderr == (f"refunc: {told}\n" if told else "") + nothing
