"""Whatever a user passes: no exception comes out of a logging call, and each line of the journal is strict JSON."""

from __future__ import annotations

import json
import logging
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refunc.journal.reader import Account, read_journal
from refunc.journal.record import LogLine, Metrics, Params
from refunc.logging import ExperimentTracker, MLLogger


class Hostile:
    def _raise(self, *args: object) -> Any:
        raise RuntimeError("hostile")

    __str__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __float__ = __int__ = _raise

    def __repr__(self) -> str:
        raise RuntimeError("hostile")


_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT | st.binary(max_size=20) | st.complex_numbers()
    | st.just("hostile"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT | st.integers(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def _with_hostile(value: Any) -> Any:
    """Put a hostile object where hypothesis, which must be able to show its values, has a word."""
    if isinstance(value, dict):
        return {key: _with_hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_hostile(item) for item in value]
    return Hostile() if value == "hostile" else value


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(_TEXT | st.integers(), _VALUES, max_size=4), step=st.none() | st.integers() | st.floats())
def test_nothing_raises_and_every_line_is_strict_json(values: dict[Any, Any], step: Any, own_folder: Path) -> None:
    log = MLLogger("fuzzed", "INFO", log_dir=tempfile.mkdtemp(dir=own_folder))
    logging.getLogger("fuzzed").handlers[:] = [logging.NullHandler()]
    hostile = _with_hostile(values)
    store = Path(tempfile.mkdtemp(dir=own_folder))

    with ExperimentTracker("e", log_dir=store, logger=log) as run:
        run.log_metrics(hostile, step)
        log.info("line %s", hostile, extra=hostile, metrics=hostile, tags=hostile, step=step)
        run.log_hyperparams(hostile)
        run.add_tags(hostile)
        run.log_result("result", hostile, metadata=hostile)
        folder = run.folder

    assert folder is not None
    for path in folder.glob("journal/*.jsonl"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            json.loads(line, parse_constant=pytest.fail)
    account = Account()
    records = list(read_journal(folder, account))
    assert account == Account()
    assert [type(record) for record in records].count(Metrics) == 1
    assert [type(record) for record in records].count(Params) == 1
    assert any(isinstance(record, LogLine) and record.level == "RESULT" for record in records)
    for name, value in values.items():
        if type(name) is str and type(value) is float and name.isascii() and name not in ("step", "epoch"):
            [found] = [record.metrics[name] for record in records if isinstance(record, Metrics)]
            assert found == value or (math.isnan(value) and math.isnan(found))


@pytest.mark.parametrize(
    "metrics", [None, 7, "text", [1, 2], Hostile(), {Hostile: 1}, {1: 2, "1": 3}, {"loss": Hostile()}]
)
def test_what_is_no_mapping_of_names_to_numbers_is_kept_as_it_is(metrics: Any, own_folder: Path) -> None:
    with ExperimentTracker("e", logger=MLLogger("quiet", "CRITICAL")) as run:
        run.log_metrics(metrics)
        folder = run.folder

    assert folder is not None
    account = Account()
    assert any(isinstance(record, Metrics) for record in read_journal(folder, account))
    assert account == Account()
