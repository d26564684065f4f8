"""
A question has one answer, from each of these: `find`, `refunc ls`, and a filter in plain Python over exported rows.

The answers come from the journals, from the catalogue of the index, and from both after a run has changed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.questions import NAMES, QUESTIONS, RUNS, Holds, Row, annotate_later, birth_of, kind_of, lines_of

from refunc.annotations.changing import annotate
from refunc.logging import ExperimentTracker, MLLogger
from refunc.runs import ExpressionError, Store, open_store

WriteRun = Callable[..., Path]


@pytest.mark.once
@given(runs=RUNS, questions=st.lists(QUESTIONS, min_size=1, max_size=4), more=st.integers(0, 4))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_every_way_of_asking_gives_the_same_answer(
    runs: list[Row], questions: list[tuple[str, Holds]], more: int, write_run: WriteRun, tmp_path: Path
) -> None:
    folder = tmp_path / "experiments" / os.urandom(6).hex()
    folder.mkdir(parents=True)
    folders = [_written(write_run, folder / f"run_{number:08}", run) for number, run in enumerate(runs)]
    for text, holds in questions:
        _check(folder, text, holds)
    if len(folders) > more:  # one run has changed since: it is of the catalogue no longer
        shutil.rmtree(folders[more])
        write_run(folders[more], [{"kind": "params", "params": {"lr": 0}}, *lines_of({})])
    for text, holds in questions:
        _check(folder, text, holds)


def _store_of(runs: list[Row], write_run: WriteRun, tmp_path: Path) -> Store:
    """Return a new store with *runs*."""
    folder = tmp_path / "experiments" / os.urandom(6).hex()
    folder.mkdir(parents=True)
    for number, run in enumerate(runs):
        _written(write_run, folder / f"run_{number:08}", run)
    return open_store(folder)


def _written(write_run: WriteRun, folder: Path, run: Row) -> Path:
    written = write_run(folder, lines_of(run), **birth_of(run))
    annotate_later(written, run)
    return written


def _check(folder: Path, text: str, holds: Holds) -> None:
    store = open_store(folder)
    expected = [row["run_id"] for row in store.to_rows() if holds(row)]
    for _ in range(2):  # from the journals, then from the index
        assert [run.run_id for run in store.find(text, allow_missing=True)] == expected, text


@pytest.mark.once
@given(runs=RUNS, name=st.sampled_from(sorted(NAMES)))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_groups_and_order_are_those_of_the_exported_values(
    runs: list[Row], name: str, write_run: WriteRun, tmp_path: Path
) -> None:
    store = _store_of(runs, write_run, tmp_path)
    rows = store.to_rows()
    kinds = {row["run_id"]: kind_of(row.get(NAMES[name])) for row in rows}
    expected: dict[object, list[str]] = {}
    for row in rows:
        expected.setdefault(kinds[row["run_id"]], []).append(row["run_id"])
    is_param = name.startswith("params")  # only a param may be None, and have that as its value
    is_fact = name.isidentifier()  # such as `parent_id`, which each run has, with or without a value
    has_none = all(row.get(NAMES[name]) is None and not (is_param and NAMES[name] in row) for row in rows)
    if runs and has_none and not is_fact:
        with pytest.raises(ExpressionError):
            store.group_by(name)
        return
    groups = store.group_by(name)
    assert [[run.run_id for run in group.runs] for group in groups] == list(expected.values())
    for sign, factor in (("", 1), ("-", -1)):
        found = store.find(order_by=f"{sign}{name}", allow_missing=True)
        kinds_found = [kinds[run.run_id][0] for run in found]
        numbers = [factor * kind[1] for run in found if (kind := kinds[run.run_id])[0] in ("bool", "number")]
        texts = [kind[1] for run in found if (kind := kinds[run.run_id])[0] == "text"]
        assert numbers == sorted(numbers)
        assert texts == sorted(texts, reverse=sign == "-")
        last = ["number", "text", "none"]
        ranks = [last.index({"bool": "number", "nan": "none", "list": "none"}.get(kind, kind)) for kind in kinds_found]
        assert ranks == sorted(ranks)


@pytest.mark.once
@given(runs=RUNS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_nested_names_are_told_apart_by_the_catalogue_as_by_the_runs(
    runs: list[Row], write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store_of(runs, write_run, tmp_path)
    for name in ("params.model.name", "params['model.name']", "params['model.name_2']", "params.model"):
        for text in (f"{name} is not missing", f"{name} == 'adam'", f"{name} == 1"):
            kept = [[run.run_id for run in store.find(text, allow_missing=True)] for _ in range(2)]
            with monkeypatch.context() as patched:
                patched.setenv("REFUNC_CACHE", "off")
                assert [[run.run_id for run in store.find(text, allow_missing=True)]] * 2 == kept, text


def test_a_single_name_to_sort_or_group_by_needs_no_brackets(tmp_path: Path) -> None:
    for number in (2, 1, 3):
        with ExperimentTracker("digits", f"run {number}", tmp_path, logger=MLLogger("quiet", "ERROR")) as run:
            run.log_params({"net/depth": number})
            run.log_metrics({"val/loss": 1 / number}, step=0)
    store = open_store(tmp_path)
    assert [run.run_name for run in store.find(order_by="metrics.val/loss.min")] == ["run 3", "run 2", "run 1"]
    assert [run.run_name for run in store.find(order_by="-metrics.val/loss")] == ["run 1", "run 2", "run 3"]
    assert [group.key for group in store.group_by("params.net/depth")] == [(2,), (1,), (3,)]
    with pytest.raises(ExpressionError, match=r"no run has a metric 'val/los'"):
        store.find(order_by="metrics.val/los.min")
    with pytest.raises(ExpressionError):
        store.find(order_by="metric.val/loss.min")


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("params.amp == 'True'", "write True without quotes"),
        ("params.kept == False", "write it in quotes to compare it"),
        ("params.kept", "params.kept is a text in every run that has it, such as 'False': compare it, or write"),
        ("not params.kept and params.amp", "params.kept is a text"),
    ],
)
def test_true_and_false_are_told_apart_from_their_texts(question: str, says: str, tmp_path: Path) -> None:
    with ExperimentTracker("digits", log_dir=tmp_path, logger=MLLogger("quiet", "ERROR")) as run:
        run.log_params({"amp": True, "kept": "False"})
    with pytest.raises(ExpressionError, match=says):
        open_store(tmp_path).find(question)


def test_what_was_annotated_since_is_part_of_the_answer(write_run: WriteRun, tmp_path: Path) -> None:
    folders = [write_run(f"run_{number:08}", lines_of({"team": "vision", "lr": number})) for number in range(3)]
    store = open_store(tmp_path / "experiments")
    assert len(store.find("tags.team == 'vision'")) == 3  # now they are in the catalogue

    annotate(folders[1], tags={"team": "text", "best": "yes"}, name="renamed")

    assert [run.run_id for run in store.find("tags.team == 'vision'")] == ["00000000", "00000002"]
    assert [run.run_name for run in store.find("tags.best == 'yes' and run_name ~ 'ren*'")] == ["renamed"]
    annotate(folders[1], tags={"best": None})
    with pytest.raises(ExpressionError, match="no run has a tag 'best'"):
        store.find("tags.best == 'yes'")
