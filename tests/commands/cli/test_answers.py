"""`refunc ls --where` answers as `find` and as a plain filter over exported rows, also where there is no answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.questions import QUESTIONS, RUNS, Holds, Row, annotate_later, birth_of, lines_of

from refunc.journal.codec import encode_line
from refunc.runs import ExpressionError, open_store

pytestmark = [pytest.mark.once, pytest.mark.extras]

_ORDERS = st.sampled_from(
    [None, "params.lr", "-metrics.loss.min", "run_name", "tags.team", "-tags.team", "-start_time"]
)


def _written(store: Path, runs: list[Row]) -> None:
    for number, run in enumerate(runs):
        folder = store / f"run_{number:08}"
        (folder / "journal").mkdir(parents=True)
        facts = {"format": 1, "run_id": f"{number:08}", "run_name": folder.name, **birth_of(run)}
        (folder / "run.json").write_text(json.dumps(facts))
        records = [{"seq": at, "time": 1.0 + at, **line} for at, line in enumerate(lines_of(run))]
        header = {"kind": "segment", "format": 1, "logger": "hand"}
        (folder / "journal" / "w.000000.jsonl").write_bytes(b"".join(map(encode_line, [header, *records])))
        annotate_later(folder, run)


@given(runs=RUNS, question=QUESTIONS, order=_ORDERS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_the_command_answers_as_everything_else(
    runs: list[Row],
    question: tuple[str, Holds],
    order: str | None,
    invoke: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REFUNC_CACHE", str(tmp_path / "cache"))
    place = tmp_path / os.urandom(6).hex()
    place.mkdir()
    _written(place, runs)
    text, holds = question
    store = open_store(place)
    expected = {row["run_id"] for row in store.to_rows() if holds(row)}
    sorting = [f"--sort={order}"] if order is not None else []
    asked = ["--store", str(place), "ls", f"--where={text}", *sorting, "--json"]
    for _ in range(2):  # from the journals, then from the index
        listed = invoke(*asked, "--allow-missing")
        found = store.find(text, order_by=order, allow_missing=True)
        assert listed.exit_code == 0, listed.stderr
        assert [row["run_id"] for row in json.loads(listed.stdout)] == [run.run_id for run in found]
        assert {run.run_id for run in found} == expected

    strict = invoke(*asked)
    found, problem = _strictly(place, text, order)
    if problem is not None:
        assert strict.exit_code == 2
        assert problem.split("\n", maxsplit=1)[0] in strict.stderr
    else:
        assert [row["run_id"] for row in json.loads(strict.stdout)] == found


def _strictly(place: Path, text: str, order: str | None) -> tuple[list[str], str | None]:
    """Return the ids that `find` returns, or the error that it raises."""
    try:
        return [run.run_id for run in open_store(place).find(text, order_by=order)], None
    except ExpressionError as error:
        return [], error.problem
