"""The reference's claims about LogEntry and ExperimentContext: the logged value that each field holds."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentContext, LogEntry, MLLogger

#: A field as the reference declares it, and a check of its value in a line that has everything.
ENTRY_FIELDS: dict[str, Any] = {
    "`timestamp: float`": lambda value, run: type(value) is float and abs(value - time.time()) < 60,
    "`level: str`": lambda value, run: value == "INFO",
    "`message: str`": lambda value, run: value == "Training step completed",
    "`logger_name: str`": lambda value, run: value == "training",
    "`experiment_id: Optional[str] = None`": lambda value, run: value == run.experiment_id,
    "`run_id: Optional[str] = None`": lambda value, run: value == run.run_id,
    "`step: Optional[int] = None`": lambda value, run: value == 7,
    "`epoch: Optional[int] = None`": lambda value, run: value == 2,
    "`metrics: Dict[str, Any] = field(default_factory=dict)`": lambda value, run: value == {"loss": 0.234},
    "`tags: Dict[str, str] = field(default_factory=dict)`": lambda value, run: value == {"phase": "training"},
    "`artifacts: List[str] = field(default_factory=list)`": lambda value, run: value == ["checkpoint.pkl"],
    "`extra: Dict[str, Any] = field(default_factory=dict)`": lambda value, run: value == {"gpu_memory": "8.2GB"},
}


@pytest.mark.parametrize("field", ENTRY_FIELDS)
def test_a_field_of_an_entry_has_what_was_logged(field: str, user: Any) -> None:
    """`class LogEntry`: "Structured log entry for ML workflows"."""
    logger = MLLogger("training")
    logger.start_experiment("image_classification", "run_001")
    logger.info(
        "Training step completed",
        step=7,
        epoch=2,
        metrics={"loss": 0.234},
        tags={"phase": "training"},
        artifacts=["checkpoint.pkl"],
        extra={"gpu_memory": "8.2GB"},
    )
    context = logger.get_experiment_context()

    (entry,) = logger.get_log_entries(level="INFO")
    assert ENTRY_FIELDS[field](getattr(entry, field.strip("`").partition(":")[0]), context)


@pytest.mark.parametrize("field", [field for field in ENTRY_FIELDS if "=" in field])
def test_a_field_of_an_entry_that_nothing_was_said_of_has_its_default(field: str, user: Any) -> None:
    """`@dataclass`: an entry is made of its first four fields, and one that is read back has the same defaults."""
    logger = MLLogger("training")
    logger.start_experiment("image_classification")
    logger.info("begin")
    (read,) = logger.get_log_entries(level="INFO")
    made = LogEntry(1700000000.25, "INFO", "begin", "training")
    name, _, default = field.strip("`").replace(" ", "").partition(":")
    value = None if default.endswith("=None") else {} if default.endswith("dict)") else []

    assert getattr(made, name) == value
    assert type(getattr(made, name)) is type(value)
    if not name.endswith("_id"):
        assert getattr(read, name) == value


def test_an_entry_and_a_context_are_dataclasses_to_whoever_asks(user: Any) -> None:
    """`@dataclass`: functions of the standard library take both, as does a library that makes tables of dataclasses."""
    logger = MLLogger("training")
    logger.start_experiment("image_classification", "resnet_v1")
    logger.info("begin", metrics={"loss": 0.5})
    (entry,), context = logger.get_log_entries(level="INFO"), logger.get_experiment_context()
    assert context is not None

    assert dataclasses.is_dataclass(entry)
    assert dataclasses.asdict(entry) == entry.to_dict()
    assert dataclasses.replace(entry, message="done") == LogEntry(**{**entry.to_dict(), "message": "done"})
    assert dataclasses.asdict(context)["run_name"] == "resnet_v1"
    assert dataclasses.replace(context, status="failed").status == "failed"
    for kind, declared in ((LogEntry, ENTRY_FIELDS), (ExperimentContext, CONTEXT_FIELDS)):
        names = [field.strip("`").partition(":")[0] for field in declared]
        fields = dataclasses.fields(kind)
        assert [field.name for field in fields][: len(names)] == names
        required = [field.strip("`").partition(":")[0] for field in declared if "=" not in field]
        missing = dataclasses.MISSING
        assert [each.name for each in fields if each.default is missing and each.default_factory is missing] == required


def test_an_entry_becomes_a_dict_of_its_fields() -> None:
    """`entry_dict = entry.to_dict()`: "Serialization"; a copy, that a user may change."""
    entry = LogEntry(1700000000.25, "INFO", "done", "training", step=3, metrics={"loss": 0.5})
    entry_dict = entry.to_dict()

    names = [field.strip("`").partition(":")[0] for field in ENTRY_FIELDS]
    assert list(entry_dict) == names
    assert all(entry_dict[name] == getattr(entry, name) for name in names)
    entry_dict["metrics"]["loss"] = 1.0
    assert entry.metrics == {"loss": 0.5}


@pytest.mark.parametrize("value", [0.5, 1, True, None, "Infinity", math.nan, math.inf, -math.inf, "é\n", [1, {"a": 2}]])
def test_an_entry_becomes_json_and_comes_back(value: Any) -> None:
    """`entry_json = entry.to_json()`: strict JSON, from which the same entry can be made."""
    entry = LogEntry(1700000000.25, "METRIC", "done", "training", step=3, metrics={"value": value})
    entry_json = entry.to_json()

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    assert "\n" not in entry_json
    back = LogEntry(**json.loads(entry_json, parse_constant=refuse))
    assert repr(back) == repr(entry)


# -- ExperimentContext

CONTEXT_FIELDS: dict[str, Any] = {
    "`experiment_id: str`": lambda value, run: value == run.birth["experiment_id"],
    "`experiment_name: str`": lambda value, run: value == "image_classification",
    "`run_id: str`": lambda value, run: value == run.run_id,
    "`run_name: Optional[str] = None`": lambda value, run: value == "resnet_v1",
    "`start_time: float = field(default_factory=time.time)`": lambda value, run: abs(value - time.time()) < 60,
    "`end_time: Optional[float] = None`": lambda value, run: value is None,
    '`status: str = "running"`': lambda value, run: value == "running",
    "`parameters: Dict[str, Any] = field(default_factory=dict)`": lambda value, run: value == {"lr": 0.001},
    "`metrics: Dict[str, Any] = field(default_factory=dict)`": lambda value, run: value == {"loss": 0.25},
    "`tags: Dict[str, str] = field(default_factory=dict)`": lambda value, run: value == {"model": "resnet50"},
    "`artifacts: List[str] = field(default_factory=list)`": lambda value, run: value == ["model.pkl"],
    "`metadata: Dict[str, Any] = field(default_factory=dict)`": lambda value, run: Path(value["folder"]) == run.folder,
}


@pytest.mark.parametrize("field", CONTEXT_FIELDS)
def test_a_field_of_the_context_has_what_the_run_has(field: str, user: Any) -> None:
    """`class ExperimentContext`: "Context information for ML experiments"."""
    Path("model.pkl").write_text("weights")
    logger = MLLogger("training")
    logger.start_experiment("image_classification", "resnet_v1")
    logger.log_hyperparams({"lr": 0.001})
    logger.log_metrics({"loss": 0.5}, step=1)
    logger.log_metrics({"loss": 0.25}, step=2)
    logger.set_tag("model", "resnet50")
    logger.log_artifact("model.pkl")

    context = logger.get_experiment_context()
    assert CONTEXT_FIELDS[field](getattr(context, field.strip("`").partition(":")[0]), user.run())


def test_the_context_after_the_end_has_its_time_and_status(user: Any) -> None:
    """`end_time`, `status`: None and "running" before, and the time and the status of the end afterwards."""
    logger = MLLogger("training")
    logger.start_experiment("image_classification", "resnet_v1")
    logger.end_experiment(status="failed")

    context = logger.get_experiment_context()
    assert context is not None
    assert context.status == "failed"
    assert context.end_time is not None
    assert 0 <= context.end_time - context.start_time < 60


def test_a_context_can_be_made_of_its_required_fields() -> None:
    """`run_id: str`: three fields are required, and the time is that of the call."""
    before = time.time()
    context = ExperimentContext("exp_001", "image_classification", "k3f9a2b7")

    assert before <= context.start_time <= time.time()
    assert (context.status, context.run_name, context.end_time) == ("running", None, None)
    assert (context.parameters, context.metrics, context.tags, context.artifacts) == ({}, {}, {}, [])
    assert context.metadata == {}
