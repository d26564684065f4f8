"""The names, parameters, fields and defaults of the customer's API reference, checked by `inspect`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import refunc.logging
from refunc.logging import ExperimentContext, ExperimentTracker, JSONFormatter, LogEntry, LogLevel, MLLogger

FOLDER = Path(__file__).parent / "blocks"

#: The names in the defaults of the signature blocks.
NAMES = {"LogLevel": LogLevel, "time": time, "dict": dict, "list": list}

Documented = list[tuple[str, "ast.expr | None"]]


def documented_class(file: str) -> ast.ClassDef:
    """Return the class in a signature block; one that ends at its `__init__` line gets a body."""
    text = (FOLDER / file).read_text("utf-8").rstrip()
    (definition,) = ast.parse(text + ": ..." if text.endswith(")") and "def " in text else text).body
    assert isinstance(definition, ast.ClassDef)
    return definition


def documented_parameters(file: str) -> Documented:
    (method,) = documented_class(file).body
    assert isinstance(method, ast.FunctionDef)
    names = [argument.arg for argument in method.args.args[1:]]
    return list(zip(names, method.args.defaults, strict=True))


def documented_fields(file: str) -> Documented:
    return [
        (node.target.id, node.value)
        for node in documented_class(file).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]


def value_of(default: ast.expr) -> Any:
    return eval(compile(ast.Expression(default), "block", "eval"), dict(NAMES))


def assert_leads(documented: list[str], call: Callable[..., Any]) -> None:
    """The documented parameters come first, and can be given by position."""
    parameters = [one for one in inspect.signature(call).parameters.values() if one.name != "self"]
    assert [one.name for one in parameters[: len(documented)]] == documented
    assert all(one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for one in parameters[: len(documented)])


def test_mllogger_takes_the_documented_parameters() -> None:
    documented = documented_parameters("02_mllogger_signature.py")
    parameters = inspect.signature(MLLogger).parameters

    assert_leads([name for name, _ in documented], MLLogger)
    for name, default in documented:
        assert default is not None
        assert parameters[name].default == value_of(default), name
    extra = list(parameters.values())[len(documented) :]
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in extra)


@pytest.mark.parametrize(
    ("file", "kind", "required"),
    [
        ("07_log_entry_signature.py", LogEntry, (1.5, "INFO", "epoch done", "training")),
        ("09_experiment_context_signature.py", ExperimentContext, ("vision", "vision", "k3f9a2b7")),
    ],
    ids=["LogEntry", "ExperimentContext"],
)
def test_class_has_the_documented_fields(file: str, kind: type, required: tuple[Any, ...]) -> None:
    """In order, so that they can be given by position; with fresh dicts and lists; extra ones keyword-only."""
    documented = documented_fields(file)
    names = [name for name, _ in documented]

    before = time.time()
    one, other = kind(*required), kind(*required)

    assert_leads(names, kind)
    extra = list(inspect.signature(kind).parameters.values())[len(names) :]
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in extra)
    assert [name for name, default in documented if default is None] == names[: len(required)]
    for (name, default), given in zip(documented, required, strict=False):
        assert default is None
        assert getattr(one, name) == given
    for name, default in documented[len(required) :]:
        assert default is not None
        if not isinstance(default, ast.Call):
            assert getattr(one, name) == value_of(default), name
        elif (factory := value_of(default.keywords[0].value)) is time.time:
            assert before <= getattr(one, name) <= time.time()
        else:
            assert getattr(one, name) == factory(), name
            assert getattr(one, name) is not getattr(other, name), name


def test_log_entry_becomes_a_dict_and_json() -> None:
    entry = LogEntry(1.5, "INFO", "epoch done", "training", step=3, metrics={"loss": 0.5}, artifacts=["model.pkl"])

    names = [name for name, _ in documented_fields("07_log_entry_signature.py")]
    assert list(entry.to_dict()) == names
    assert entry.to_dict() == {name: attrs.asdict(entry)[name] for name in names} == dataclasses.asdict(entry)
    assert json.loads(entry.to_json()) == entry.to_dict()
    assert LogEntry(**json.loads(entry.to_json())) == entry


@pytest.mark.parametrize(
    ("name", "documented"),
    [
        ("ColoredFormatter", "show_time show_level show_logger show_metrics color_scheme"),
        ("JSONFormatter", "include_extra timestamp_format indent"),
        ("MLFormatter", "show_step show_epoch show_metrics metric_precision compact_mode"),
        ("ProgressTracker", "total description logger"),
        ("TqdmProgressTracker", "total desc"),
        ("EpochTracker", "total_epochs steps_per_epoch logger"),
        ("progress_context", "description total"),
        ("epoch_context", "total_epochs"),
        ("experiment_context", "experiment_name run_name"),
        ("ExperimentTracker", "experiment_name run_name log_dir"),
        ("setup_logging", "level log_dir colored json_logging experiment_tracking"),
        ("get_logger", "name"),
        ("AsyncHandler", "buffer_size flush_interval"),
        ("BufferedHandler", "buffer_size auto_flush"),
    ],
)
def test_parameters_lead_in_the_order_of_the_reference(name: str, documented: str) -> None:
    assert_leads(documented.split(), getattr(refunc.logging, name))


@pytest.mark.parametrize(
    ("method", "documented"),
    [
        ("log_hyperparams", "params"),
        ("log_metrics", "metrics step"),
        ("log_artifact", "path artifact_type"),
        ("log_artifacts", "paths artifact_type"),
        ("add_tags", "tags"),
        ("set_tag", "key value"),
        ("log_result", "name value metadata"),
        ("start_experiment", "experiment_name run_name"),
        ("end_experiment", "status final_metrics"),
        ("set_step", "step"),
        ("set_epoch", "epoch"),
        ("add_handler", "handler"),
    ],
)
def test_methods_of_mllogger_take_what_the_reference_passes(method: str, documented: str) -> None:
    assert_leads(documented.split(), getattr(MLLogger, method))


@pytest.mark.parametrize(
    ("method", "documented"),
    [
        ("start_run", ""),
        ("log_params", "params"),
        ("log_tags", "tags"),
        ("log_metrics", "metrics step"),
        ("log_artifact", "path artifact_type"),
        ("end_run", "status"),
    ],
)
def test_methods_of_experiment_tracker_take_what_the_reference_passes(method: str, documented: str) -> None:
    assert_leads(documented.split(), getattr(ExperimentTracker, method))


def test_get_log_entries_and_export_logs_take_the_documented_keywords() -> None:
    entries = inspect.signature(MLLogger.get_log_entries).parameters
    export = list(inspect.signature(MLLogger.export_logs).parameters)

    assert {"level", "last_n", "experiment_id", "start_time", "tags"} <= entries.keys()
    assert export[1:3] == ["path", "format"]


@pytest.mark.parametrize(
    ("options", "says"),
    [({"color_scheme": scheme}, "ColoredFormatter") for scheme in ("default", "dark", "light")]
    + [({"timestamp_format": form}, "JSONFormatter") for form in ("iso", "unix", "readable")]
    + [({"indent": indent}, "JSONFormatter") for indent in (None, 2, 4)],
)
def test_documented_choices_are_taken(options: dict[str, Any], says: str) -> None:
    formatter = getattr(refunc.logging, says)(**options)

    assert formatter.format(logging.makeLogRecord({"msg": "epoch done"}))


def test_levels_are_those_of_the_methods_and_order_as_the_stdlib() -> None:
    assert {level.name for level in LogLevel} == {
        *("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        *("METRIC", "EXPERIMENT", "PROGRESS", "RESULT"),
    }
    assert all(callable(getattr(MLLogger, level.name.lower())) for level in LogLevel)
    for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        assert getattr(LogLevel, name) == getattr(logging, name)
    assert LogLevel.TRACE < LogLevel.DEBUG
    # The ML levels show at the default level, and in no handler that is set to WARNING.
    assert all(
        LogLevel.INFO < LogLevel[name] < LogLevel.WARNING for name in ("EXPERIMENT", "PROGRESS", "RESULT", "METRIC")
    )


def test_json_lines_have_the_documented_keys() -> None:
    """In the documented order; `run_id` and others may stand between them."""
    documented = json.loads((FOLDER / "11_json_output.json").read_text())
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Collect()
    handler.setFormatter(JSONFormatter())
    logger = MLLogger("training")
    logger.add_handler(handler)
    logger.start_experiment("exp_001")
    lines.clear()
    logger.info(
        documented["message"],
        step=documented["step"],
        epoch=documented["epoch"],
        metrics=documented["metrics"],
        tags=documented["tags"],
    )
    (line,) = lines
    logger.end_experiment()

    written = json.loads(line)
    assert [key for key in written if key in documented] == list(documented)
    assert {key: written[key] for key in documented} == {**documented, "timestamp": written["timestamp"]}
    assert list(written.keys() - documented.keys()) == ["run_id"]
