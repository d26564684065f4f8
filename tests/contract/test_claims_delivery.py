"""The reference's claims about integrations together: adding, managing, configuring them, and the calls of each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import refunc.logging
from refunc.logging import (
    IntegrationsManager,
    MLLogger,
    auto_configure_integrations,
    integration_context,
    setup_logging,
)
from refunc.plugins import discovery, hookimpl


class Integration:
    """Keeps the arguments of its calls; `fails` makes every call of it fail."""

    def __init__(self, *, fails: bool = False) -> None:
        self.got: list[tuple[str, Any]] = []
        self.tried = 0
        self.fails = fails

    def _take(self, hook: str, what: Any) -> None:
        self.tried += 1
        if self.fails:
            raise OSError("the server is down")
        self.got.append((hook, what))

    @hookimpl
    def on_hyperparams(self, run: Any, record: Any) -> None:
        self._take("params", record.params)

    @hookimpl
    def on_tags(self, run: Any, record: Any) -> None:
        self._take("tags", record.tags)

    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        for record in records:
            self._take("metrics", (record.step, record.metrics))

    @hookimpl
    def on_log(self, run: Any, records: Any) -> None:
        for record in records:
            self._take("line", (record.level, record.message))

    @hookimpl
    def on_artifact(self, run: Any, record: Any) -> None:
        self._take("artifact", (record.name, record.type))

    @hookimpl
    def on_run_end(self, run: Any, record: Any) -> None:
        self._take("end", record.status)

    @property
    def has_ended(self) -> bool:
        return any(hook == "end" for hook, _ in self.got)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Integration]:
    """Make integrations that are called in this process."""
    monkeypatch.setenv("REFUNC_DELIVERY", "thread")
    return Integration


def log_everything(logger: MLLogger) -> None:
    Path("model.pkl").write_text("weights")
    logger.start_experiment("image_classification", "run_001")
    logger.info("begin")
    logger.log_hyperparams({"lr": 0.001})
    logger.log_metrics({"loss": 0.5}, step=100)
    logger.set_tag("model", "resnet50")
    logger.log_artifact("model.pkl", artifact_type="model")
    logger.log_result("final_accuracy", 0.95)
    logger.end_experiment()


EVERYTHING = [
    ("artifact", ("model.pkl", "model")),
    ("end", "completed"),
    ("line", ("INFO", "begin")),
    ("line", ("RESULT", "final_accuracy")),
    ("metrics", (100, {"loss": 0.5})),
    ("metrics", (None, {"final_accuracy": 0.95})),
    ("params", {"lr": 0.001}),
    ("tags", {"model": "resnet50"}),
]


def test_an_integration_that_is_added_gets_all_logging(made: Any, user: Any, tools: Any) -> None:
    """`logger.add_integration(mlflow_integration)`: "All logging will now be sent"."""
    integration = made()
    logger = MLLogger("training")
    logger.add_integration(integration)
    log_everything(logger)
    tools.until(lambda: integration.has_ended)

    assert sorted(integration.got, key=str) == EVERYTHING


def test_all_integrations_of_a_manager_get_the_same(made: Any, user: Any, tools: Any) -> None:
    """`manager = IntegrationsManager()`, `logger.add_integrations(integrations)`: "All integrations receive logs"."""
    several = {name: made() for name in ("mlflow", "wandb", "slack")}
    manager = IntegrationsManager()
    for name, integration in several.items():
        manager.add_integration(name, integration)
    with integration_context(manager) as integrations:
        logger = MLLogger("training")
        logger.add_integrations(integrations)
        log_everything(logger)
        tools.until(lambda: all(integration.has_ended for integration in several.values()))

    assert [sorted(integration.got, key=str) for integration in several.values()] == [EVERYTHING] * 3


def test_a_manager_keeps_integrations_by_name(made: Any) -> None:
    """`manager.add_integration("mlflow", MLflowIntegration(...))`: "Manage multiple integrations centrally"."""
    first, second, other = made(), made(), made()
    manager = IntegrationsManager()
    manager.add_integration("mlflow", first)
    manager.add_integration("wandb", other)
    manager.add_integration("mlflow", second)

    assert list(manager) == [second, other]
    assert ("mlflow" in manager, "slack" in manager, len(manager)) == (True, False, 2)


def test_a_context_gives_its_integrations_to_runs_of_the_block_alone(made: Any, user: Any, tools: Any) -> None:
    """`with integration_context(manager) as integrations:`: "Use with context manager"."""
    integration = made()
    manager = IntegrationsManager()
    manager.add_integration("mine", integration)
    logger = MLLogger("training")
    with integration_context(manager) as integrations:
        logger.add_integrations(integrations)
        logger.start_experiment("exp", "inside")
        logger.log_metrics({"loss": 0.25})
        logger.end_experiment()
    logger.start_experiment("exp", "behind")
    logger.log_metrics({"loss": 0.5})
    logger.end_experiment()
    tools.until(lambda: integration.has_ended)

    assert [hook for hook, _ in integration.got].count("end") == 1
    assert ("metrics", (0, {"loss": 0.5})) not in integration.got


def test_logging_goes_on_where_an_integration_fails(made: Any, user: Any, tools: Any) -> None:
    """ "Logger continues working even if integrations fail", "Local logging continues"."""
    broken, working = made(fails=True), made()
    logger = MLLogger("training")
    logger.add_integration(broken)
    logger.add_integration(working)
    log_everything(logger)
    tools.until(lambda: working.has_ended and broken.tried)
    logger.warning("still here")

    run = user.run()
    assert (run.status, user.points()) == ("completed", [(100, None, {"loss": 0.5})])
    assert any("still here" in line for line in user.console())
    assert sorted(working.got, key=str) == EVERYTHING
    broken.fails = False  # the records that it missed are delivered when it works again
    tools.until(lambda: broken.has_ended)
    assert sorted(broken.got, key=str) == EVERYTHING


# -- configuration


def test_settings_of_all_loggers_are_said_at_once(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`setup_logging(level="INFO", colored=True)`: "Quick setup with defaults"."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    setup_logging(level="INFO", colored=True)
    logger = refunc.logging.get_logger("my_experiment")
    logger.debug("unseen")
    logger.info("seen")

    (line,) = user.console()
    assert "\x1b[94mINFO" in line
    assert "seen" in line


ADVANCED: dict[str, Callable[[Any], bool]] = {
    '`level="DEBUG"`': lambda user: any("DEBUG" in line and "loaded" in line for line in user.console()),
    '`log_dir="./logs"`': lambda user: "my_experiment.log" in user.files("logs"),
    "`json_logging=True`": lambda user: "my_experiment.jsonl" in user.files("logs"),
    "`experiment_tracking=True`": lambda user: user.points() == [(1, None, {"loss": 0.5})],
}


@pytest.mark.parametrize("option", ADVANCED)
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_setting_reaches_loggers_by_name(option: str, order: str, user: Any) -> None:
    """ "Advanced setup", `logger = get_logger("my_experiment")`: "Get configured logger", made before or after."""
    if order == "before":
        refunc.logging.get_logger("my_experiment")
    setup_logging(level="DEBUG", log_dir="./logs", colored=True, json_logging=True, experiment_tracking=True)
    logger = refunc.logging.get_logger("my_experiment")
    logger.debug("loaded")
    logger.log_metrics({"loss": 0.5}, step=1)
    logger.flush()

    assert refunc.logging.get_logger("my_experiment") is logger
    assert ADVANCED[option](user)


def test_a_setup_without_colour_colours_nothing(user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`colored=True`: False is the other side, whatever the terminal takes."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    setup_logging(level="INFO", colored=False)
    refunc.logging.get_logger("my_experiment").error("out of memory")

    assert "\x1b" not in user.console()[0]


@pytest.mark.parametrize("order", ["before", "after"])
def test_integrations_of_the_setup_are_those_of_all_loggers(
    order: str, made: Any, user: Any, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`integrations={`, `"mlflow": {"tracking_uri": "http://localhost:5000"}`: by name, with their options."""
    integration, options = made(), []
    monkeypatch.setattr(
        discovery, "build", lambda kind, name, given: options.append((name, dict(given))) or integration
    )
    if order == "before":
        refunc.logging.get_logger("my_experiment")
    setup_logging(integrations={"mlflow": {"tracking_uri": "http://localhost:5000"}})
    log_everything(refunc.logging.get_logger("my_experiment"))
    tools.until(lambda: integration.has_ended)

    assert options == [("mlflow", {"tracking_uri": "http://localhost:5000"})]
    assert sorted(integration.got, key=str) == EVERYTHING


AVAILABLE: dict[str, dict[str, str]] = {
    "mlflow": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
    "wandb": {"WANDB_API_KEY": "k" * 40},
    "prometheus": {},
    "slack": {"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/none"},
}


@pytest.mark.parametrize("name", AVAILABLE)
def test_an_integration_is_configured_by_what_the_environment_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto_configure_integrations()`: "Automatically detect and configure available integrations"."""
    for each in AVAILABLE.values():
        for variable in each:
            monkeypatch.delenv(variable, raising=False)
    for variable, value in AVAILABLE[name].items():
        monkeypatch.setenv(variable, value)

    integrations = auto_configure_integrations()
    assert name in integrations
    assert name == "slack" or "slack" not in integrations
    assert {state.plugin.name for state in integrations.states} >= AVAILABLE.keys()
    MLLogger("training").add_integrations(integrations)


def test_whatever_is_installed_is_found_others_plugins_too(own_folder: Path) -> None:
    """ "MLflow, Weights & Biases, Prometheus, and more": one import, and detection, for a third party's as well."""
    info = own_folder / "site" / "refunc_neptune-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: refunc-neptune\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[refunc.integrations]\nneptune = refunc_neptune:NeptuneIntegration\n")
    (own_folder / "site" / "refunc_neptune.py").write_text(
        "from refunc.plugins import hookimpl\n"
        "class NeptuneIntegration:\n    @hookimpl\n    def on_metrics(self, run, records): pass\n"
    )
    script = (
        "import sys; sys.path.insert(0, 'site')\n"
        "from refunc.logging import NeptuneIntegration, auto_configure_integrations\n"
        "print('neptune' in auto_configure_integrations(), NeptuneIntegration.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["True", "refunc_neptune"]
