"""The reference's claims about MLLogger: its parameters, its levels, and the lines that a user sees of each."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import LogLevel, MLLogger

METHODS = {level.name: level.name.lower() for level in LogLevel}


# -- parameters


def test_the_name_is_in_log_messages(user: Any) -> None:
    """`name`: "Logger name (used in log messages"."""
    logger = MLLogger("training_run", json_logging=True)
    logger.info("begin")

    (line,) = user.console()
    assert line.split()[1:] == ["INFO", "training_run", "begin"]
    assert json.loads(user.file(logger, "logs/training_run.jsonl")[0])["logger"] == "training_run"


def test_the_name_is_in_file_names(user: Any) -> None:
    """`MLLogger("training_run")`: "and file names)"."""
    logger = MLLogger("training_run")
    logger.info("begin")
    logger.flush()

    assert user.files() == ["training_run.log"]


DEFAULTS: dict[str, tuple[Any, Any]] = {
    '`name: str = "refunc"`': ("refunc", "refunc"),
    "`level: Union[int, str] = LogLevel.INFO`": (LogLevel.INFO, "INFO"),
    "`log_dir: Optional[Union[str, Path]] = None`": (None, "./logs"),
    "`experiment_tracking: bool = True`": (True, True),
    "`colored_output: bool = True`": (True, True),
    "`json_logging: bool = False`": (False, False),
    "`max_log_files: int = 10`": (10, 10),
    '`max_file_size: str = "100MB"`': ("100MB", 100 << 20),
}


@pytest.mark.parametrize("parameter", DEFAULTS)
def test_a_parameter_that_is_left_out_is_the_documented_one(
    parameter: str, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`class MLLogger`: a parameter that is left out does the same as the default of the signature."""
    name = parameter.strip("`").partition(":")[0]
    default, same = DEFAULTS[parameter]
    assert inspect.signature(MLLogger).parameters[name].default == default

    seen: list[Any] = []
    options: list[dict[str, Any]] = [{}, {name: same}]
    for number, given in enumerate(options):
        user.folder = user.folder.parent / f"{user.folder.name} {number}"
        user.folder.mkdir()
        monkeypatch.chdir(user.folder)
        logger = MLLogger(**given)
        logger.debug("unseen")
        logger.info("seen")
        logger.start_experiment("defaults", "of_a_logger")
        logger.end_experiment()
        shown = [line[9:].partition(" in 0")[0].partition(": experiments")[0] for line in user.console()]
        logger.flush()
        seen.append((shown, user.files(), [run.run_name for run in user.runs()]))
    assert seen[0] == seen[1]
    assert seen[0][0][0] == "INFO       refunc  seen"
    assert seen[0][1:] == (["refunc.log"], ["of_a_logger"])


@pytest.mark.parametrize("level", ["DEBUG", "debug", 10, LogLevel.DEBUG, "WARNING", 30, LogLevel.METRIC, 45])
def test_the_level_is_the_least_that_is_captured(level: int | str, user: Any) -> None:
    """`level`: "Minimum log level to capture"; on the console, in the log file and in the run."""
    logger = MLLogger("training", level=level)
    logger.start_experiment("levels")
    user.console()
    for each in LogLevel:
        getattr(logger, METHODS[each.name])("said at %s", each.name)
    least = LogLevel[level.upper()] if isinstance(level, str) else level
    captured = [f"said at {each.name}" for each in LogLevel if each >= least]

    assert [line.split("  ")[-1] for line in user.console()] == captured
    logged = user.file(logger, "logs/training.log") if captured else []
    assert [line for line in logged if "said at" in line] == [
        line for line in logged for text in captured if line.rstrip().endswith(text)
    ]
    assert len([line for line in logged if "said at" in line]) == len(captured)
    assert [entry.message for entry in logger.get_log_entries() if "said at" in entry.message] == captured


@pytest.mark.parametrize("folder", ["./experiments/logs", Path("experiments/logs")], ids=["text", "path"])
def test_log_files_go_to_the_log_dir(folder: str | Path, user: Any) -> None:
    """`log_dir`: "Directory for log files", a `str` or a `Path`."""
    logger = MLLogger("training", log_dir=folder, json_logging=True)
    logger.info("begin")
    logger.flush()

    assert user.files("experiments/logs") == ["training.jsonl", "training.log"]
    assert user.files() == []


def test_log_files_go_to_logs_where_no_folder_is_named(user: Any) -> None:
    """`log_dir`: "(defaults to `./logs`)"."""
    logger = MLLogger("training")
    logger.info("begin")
    logger.flush()

    assert user.files("logs") == ["training.log"]


def test_experiments_are_tracked_where_that_is_enabled(user: Any) -> None:
    """`experiment_tracking`: "Enable experiment tracking features"."""
    logger = MLLogger("training", experiment_tracking=True)
    logger.log_metrics({"loss": 0.5}, step=3)
    logger.end_experiment()

    assert user.points() == [(3, None, {"loss": 0.5})]


def test_nothing_is_tracked_where_it_is_not_enabled(user: Any) -> None:
    """`experiment_tracking=`: False is the other side of "Enable"; the log itself goes on."""
    logger = MLLogger("training", experiment_tracking=False)
    logger.start_experiment("image_classification", "run_001")
    logger.info("begin")
    logger.log_hyperparams({"lr": 0.001})
    logger.log_metrics({"loss": 0.5}, step=3)
    logger.log_result("accuracy", 0.9)
    logger.end_experiment()
    logger.flush()

    assert user.runs() == []
    shown = "\n".join(user.console())
    assert all(text in shown for text in ("begin", "lr=0.001", "loss=0.5", "accuracy=0.9"))
    assert [entry.message for entry in logger.get_log_entries(level="INFO")] == ["begin"]


@pytest.mark.parametrize("colored", [True, False])
def test_the_console_is_coloured_where_that_is_enabled(
    colored: bool, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`colored_output`: "Enable colored console output"."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal; False comes before it
    logger = MLLogger("training", colored_output=colored)
    logger.error("out of memory")

    (line,) = user.console()
    assert ("\x1b[31mERROR" in line) is colored
    assert "\x1b" not in user.file(logger, "logs/training.log")[-1]


@pytest.mark.parametrize("enabled", [True, False])
def test_there_are_json_log_files_where_that_is_enabled(enabled: bool, user: Any) -> None:
    """`json_logging`: "Enable JSON-formatted log files"."""
    logger = MLLogger("training", json_logging=enabled)
    logger.info("begin", tags={"phase": "warmup"})
    logger.flush()

    assert user.files() == (["training.jsonl", "training.log"] if enabled else ["training.log"])
    if enabled:
        written = json.loads(user.file(logger, "logs/training.jsonl")[0])
        assert (written["level"], written["message"], written["tags"]) == ("INFO", "begin", {"phase": "warmup"})


def test_json_log_files_have_the_data_of_a_run(user: Any) -> None:
    """`json_logging`: all that was logged is in "JSON-formatted log files", not only the lines on the console."""
    logger = MLLogger("training", json_logging=True)
    logger.log_hyperparams({"lr": 0.001})
    for step in range(50):
        logger.log_metrics({"loss": 1 / (1 + step)}, step=step)
    logger.set_tag("phase", "training")
    logger.log_result("accuracy", 0.9)
    logger.end_experiment()

    written = [json.loads(line) for line in user.file(logger, "logs/training.jsonl")]
    losses = [(line["step"], line["metrics"]["loss"]) for line in written if "loss" in line.get("metrics", {})]
    assert losses == [(step, 1 / (1 + step)) for step in range(50)]
    assert any('"lr": 0.001' in json.dumps(line) for line in written)
    assert any(line.get("tags") == {"phase": "training"} for line in written)
    assert any(line.get("metrics") == {"accuracy": 0.9} for line in written)


@pytest.mark.parametrize(("files", "size"), [(5, "20KB"), (2, "20KB"), (1, "20KB"), (3, "1.5KB")])
def test_log_files_rotate_by_size_and_are_so_many_at_most(files: int, size: str, user: Any) -> None:
    """`max_log_files`, `max_file_size`: "Maximum number of rotating log files", "Maximum size per log file"."""
    logger = MLLogger("training", level="DEBUG", max_log_files=files, max_file_size=size, experiment_tracking=False)
    logger.remove_handler(logger.handlers[0])
    most = int(float(size.removesuffix("KB")) * 1024)
    for number in range(most * (files + 2) // 100):
        logger.info("line %05d %s", number, "x" * 100)
    logger.info("the last")

    assert user.file(logger, "logs/training.log")[-1].endswith("the last")
    assert user.files() == sorted(["training.log", *(f"training.log.{number}" for number in range(1, files))])
    assert all((user.folder / "logs" / name).stat().st_size <= most for name in user.files())


def test_advanced_setup_takes_all_at_once(user: Any) -> None:
    """`name="experiment_001"`, `level="DEBUG"`, `log_dir="./experiments/logs"` and the others: "Advanced setup"."""
    logger = MLLogger(
        name="experiment_001",
        level="DEBUG",
        log_dir="./experiments/logs",
        experiment_tracking=True,
        colored_output=True,
        json_logging=True,
        max_log_files=5,
        max_file_size="50MB",
    )
    logger.debug("loaded")

    assert user.console()[0].split()[1:] == ["DEBUG", "experiment_001", "loaded"]
    assert json.loads(user.file(logger, "experiments/logs/experiment_001.jsonl")[0])["message"] == "loaded"


# -- levels

STANDARD_LEVELS: dict[str, tuple[str, int]] = {
    '`logger.trace("Detailed debugging information")`': ("TRACE", 5),
    '`logger.debug("Debug information")`': ("DEBUG", 10),
    '`logger.info("General information")`': ("INFO", 20),
    '`logger.warning("Warning message")`': ("WARNING", 30),
    '`logger.error("Error occurred")`': ("ERROR", 40),
    '`logger.critical("Critical error")`': ("CRITICAL", 50),
}


@pytest.mark.parametrize("call", STANDARD_LEVELS)
def test_a_standard_level_says_itself_on_the_console_in_files_and_in_the_run(call: str, user: Any) -> None:
    """ "Standard log levels": each is shown, written and read back as itself."""
    logger = MLLogger("training", level="TRACE")
    logger.start_experiment("levels")
    user.console()
    exec(call.strip("`"), {"logger": logger})
    name, number = STANDARD_LEVELS[call]
    message = call.split('"')[1]

    (line,) = user.console()
    assert re.split(r" {2,}| (?=training)", line[9:]) == [name, "training", message]
    (entry,) = logger.get_log_entries(level=name)
    assert (entry.message, LogLevel[name]) == (message, number)
    assert [line for line in user.file(logger, "logs/training.log") if f" {name} " in line and message in line]


ML_LEVELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    '`logger.metric("Training metric", {"accuracy": 0.92})`': ("METRIC", {"accuracy": 0.92}, {}),
    '`logger.experiment("Experiment event", {"stage": "validation"})`': ("EXPERIMENT", {}, {"stage": "validation"}),
    '`logger.progress("Progress update", {"completed": 75})`': ("PROGRESS", {}, {"completed": 75}),
    '`logger.result("Final result", {"test_accuracy": 0.95})`': ("RESULT", {"test_accuracy": 0.95}, {}),
}


@pytest.mark.parametrize("call", ML_LEVELS)
def test_an_ml_level_takes_what_it_is_about(call: str, user: Any) -> None:
    """ "ML-specific levels": text and a dict, which is shown beside it, written, and read back as data."""
    logger = MLLogger("training", json_logging=True)
    logger.start_experiment("levels")
    user.console()
    exec(call.strip("`"), {"logger": logger})
    message = call.split('"')[1]
    level, metrics, extra = ML_LEVELS[call]

    (line,) = user.console()
    shown = " ".join(f"{name}={value}" for name, value in {**metrics, **extra}.items())
    assert line.split(maxsplit=3)[1:3] == [level, "training"]
    assert re.search(f"{message} +{shown}$", line)
    entry = next(entry for entry in logger.get_log_entries(level=level) if entry.message == message)
    assert (entry.metrics, entry.extra) == (metrics, extra)
    written = [json.loads(each) for each in user.file(logger, "logs/training.jsonl")]
    (found,) = [each for each in written if each["message"] == message]
    assert (found["level"], found.get("metrics", {}), found.get("extra", {})) == (level, metrics, extra)


def test_one_logger_has_text_structure_and_a_run(user: Any) -> None:
    """ "structured logging with ML-specific features": one class for lines, their fields, and a run's data."""
    logger = MLLogger("training")
    logger.info("epoch done", metrics={"loss": 0.5}, tags={"phase": "training"})
    logger.log_metrics({"loss": 0.5}, step=1)

    first, *_, last = logger.get_log_entries()
    assert [entry.message for entry in (first, last)] == ["run started", "metrics"]
    (line,) = logger.get_log_entries(tags={"phase": "training"})
    assert (line.message, line.metrics) == ("epoch done", {"loss": 0.5})
