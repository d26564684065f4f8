"""
The API as a typed user writes it; checked by `tox -e typing`, never run.

It asserts the types that an editor shows, for the names that a user holds on to.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from typing_extensions import assert_type

import refunc
from refunc import MLLogger as LoggerOfTheTop
from refunc.logging import (
    AsyncHandler,
    BufferedHandler,
    ColoredFormatter,
    EpochTracker,
    ExperimentTracker,
    IntegrationsManager,
    JSONFormatter,
    LogEntry,
    LogLevel,
    MLflowIntegration,
    MLFormatter,
    MLLogger,
    ProgressTracker,
    PrometheusIntegration,
    SlackIntegration,
    TqdmProgressTracker,
    WandBIntegration,
    auto_configure_integrations,
    epoch_context,
    experiment_context,
    get_logger,
    integration_context,
    progress_context,
    setup_logging,
)
from refunc.plugins import Health, Integration, Metrics, NotConfigured, Retry, RunEnd, RunInfo, hookimpl, option


def configuration() -> None:
    setup_logging(level="INFO", colored=True)
    setup_logging(level=logging.DEBUG, log_dir=Path("logs"), json_logging=True, experiment_tracking=True)
    assert_type(get_logger("training"), MLLogger)
    MLLogger(
        name="experiment_001",
        level=LogLevel.INFO,
        log_dir="logs",
        experiment_tracking=True,
        colored_output=False,
        json_logging=True,
        max_log_files=5,
        max_file_size="50MB",
    )


def lines(logger: MLLogger) -> None:
    logger.trace("detail")
    logger.info("seen %d of %d", 3, 10)
    logger.info("step", metrics={"loss": 0.2}, tags={"phase": "train"}, artifacts=["a.pkl"], extra={"gpu": "8GB"})
    logger.metric("epoch", {"accuracy": 0.92})
    logger.experiment("stage", {"stage": "validation"})
    logger.progress("update", {"completed": 75})
    logger.result("final", {"accuracy": 0.95})
    logger.log(LogLevel.RESULT, "final", extra={"value": 0.95})
    try:
        logger.warning("low accuracy")
    except ValueError as error:
        logger.exception("failed", extra={"error": str(error)})


def tracked(logger: MLLogger) -> None:
    with experiment_context("image_classification", "resnet_v1") as experiment:
        assert_type(experiment, ExperimentTracker)
        assert_type(experiment.run_id, str | None)
        logger.log_hyperparams({"lr": 0.001, "layers": [64, 32], "optimizer": {"name": "adam"}})
        for step in range(10):
            logger.log_metrics({"loss": 1.0 / (step + 1)}, step=step)
        logger.log_artifact(Path("model.pkl"), artifact_type="model")
        logger.log_artifacts(["a.png", "b.png"], artifact_type="plot")
        logger.add_tags({"environment": "production"})
        logger.set_tag("kind", "tuning")
        logger.log_result("accuracy", 0.945, metadata={"dataset": "test"})
        logger.log_result("done", {"accuracy": 0.945})

    logger.start_experiment("image_classification", "run_2")
    logger.step()
    logger.set_step(100)
    logger.epoch()
    logger.set_epoch(10)
    context = logger.get_experiment_context()
    if context is not None:
        print(context.experiment_name, context.step)
    logger.end_experiment(status="completed", final_metrics={"accuracy": 0.95})

    tracker = ExperimentTracker(experiment_name="digits", run_name="baseline", log_dir="runs")
    tracker.start_run()
    tracker.log_params({"lr": 0.001})
    tracker.log_tags({"model": "mlp"})
    tracker.log_metrics({"loss": 0.5}, step=1)
    tracker.log_artifact("plot.png", artifact_type="plot")
    tracker.end_run(status="completed")


def at_the_top() -> None:
    assert_type(LoggerOfTheTop("train"), MLLogger)
    assert_type(refunc.logging.get_logger(), MLLogger)
    assert_type(refunc.SlackIntegration(), SlackIntegration)
    refunc.log_metrics({"loss": 0.5}, step=1)
    for stored in refunc.runs.open_store():
        assert_type(stored.run_id, str)


def short_names(logger: MLLogger) -> None:
    started = logger.start_experiment("image_classification", "run_3")
    assert_type(started.run_id, str)
    assert_type(started.name, str)
    with started as run:
        assert_type(run, ExperimentTracker)
        assert_type((run.id, run.name, run.status), tuple[str | None, str, str | None])
        assert_type((run.params, run.tags), tuple[dict[str, Any], dict[str, str]])


def progress(logger: MLLogger) -> None:
    for number in ProgressTracker(total=10):
        assert_type(number, int)
    with progress_context("training", total=10) as bar:
        bar.update({"loss": 0.5})
        bar.update(1, {"loss": 0.5})
        bar.update(1, loss=0.5)
    with TqdmProgressTracker(total=10, desc="training") as bar:
        bar.update(1, {"loss": 0.5})
    plain = ProgressTracker(total=10, description="training", logger=logger)
    plain.update(1, {"loss": 0.5})
    plain.log_progress()
    plain.finish()
    epochs = EpochTracker(total_epochs=2, steps_per_epoch=3, logger=logger)
    epochs.start_epoch(0)
    epochs.update_step({"loss": 0.5})
    epochs.end_epoch({"accuracy": 0.5})
    with epoch_context(total_epochs=2) as each:
        for epoch in each:
            assert_type(epoch, int)
            each.log({"accuracy": 0.5})


def handlers(logger: MLLogger) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(ColoredFormatter(show_time=True, show_metrics=True, color_scheme="dark"))
    handler.setFormatter(ColoredFormatter(color_scheme={"base": "dark", LogLevel.ERROR: "bold red", "alarm": 208}))
    handler.setFormatter(JSONFormatter(include_extra=True, timestamp_format="iso", indent=None))
    handler.setFormatter(MLFormatter(show_step=True, metric_precision=4, compact_mode=False))
    logger.add_handler(handler)
    logger.add_handler(AsyncHandler(buffer_size=1000, flush_interval=5.0))
    logger.add_handler(BufferedHandler(buffer_size=100, auto_flush=True))


def reading(logger: MLLogger) -> None:
    entries = logger.get_log_entries(level="ERROR", last_n=10, tags={"phase": "training"})
    assert_type(entries, list[LogEntry])
    assert_type(entries[0].to_json(), str)
    assert_type(LogEntry.from_json(entries[0].to_json()), LogEntry)
    logger.export_logs("logs.csv", format="csv")
    assert_type(logger.flush(), bool)


class PrinterIntegration(Integration):
    """A plugin of another author."""

    prefix: str = option(default="> ", env="PRINTER_PREFIX", help="What each line begins with.")
    width: int | None = option(default=None)
    token: str = option(env="PRINTER_TOKEN", secret=True)

    def check(self) -> None:
        if not self.token:
            raise NotConfigured("printer: token is empty.")

    @property
    def target(self) -> str:
        return f"printer {self.prefix}"

    @hookimpl
    def on_metrics(self, run: RunInfo, records: Sequence[Metrics]) -> None:
        for record in records:
            assert_type(record.metrics, dict[str, int | float | None])
            print(self.prefix, run.run_name, record.step, record.metrics)

    @hookimpl
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        if record.error is not None:
            raise Retry(f"{run.name}: not now", after=2.5)


class PlainHooks:
    """A plugin that does not derive from anything."""

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        assert_type(run.tags.get("phase"), str | None)


def integrations(logger: MLLogger) -> None:
    printer = PrinterIntegration(token="secret", prefix="# ", width=80)
    assert_type(printer.width, int | None)
    assert_type(printer.health, Health)
    assert_type(PrinterIntegration.from_mapping({"token": "secret"}), PrinterIntegration)

    logger.add_integration(printer)
    logger.add_integration(PlainHooks())
    logger.add_integration(MLflowIntegration(tracking_uri="http://localhost:5000", tags={"team": "vision"}))
    logger.add_integrations(
        [
            WandBIntegration(project="digits", mode="offline", tags=["baseline"], config={"seed": 1}),
            PrometheusIntegration(port=8000, push_gateway=None),
            SlackIntegration(webhook_url="https://hooks.slack.com/services/x", completion_notifications=False),
        ]
    )
    assert_type(logger.integrations, tuple[Any, ...])
    assert_type(logger.health(), dict[str, Health])
    for name, health in logger.health().items():
        assert_type(health.waiting, int)
        assert_type(health.last_error, str | None)
        print(name, health.state, health.delivered, health.dead)

    SlackIntegration()  # its webhook may come from the environment
    setup_logging(integrations={"slack": {"channel": "#ml"}, "prometheus": {"port": 9100}, "mlflow": {}})
    setup_logging(integrations=None)


def managed(logger: MLLogger) -> None:
    configured = auto_configure_integrations()
    assert_type(configured, IntegrationsManager)
    for state in configured.states:
        assert_type(state.state, Literal["active", "blocked", "not configured", "broken"])
        print(state.plugin.name, state.plugin.version, state.reason)
    logger.add_integrations(configured)

    manager = IntegrationsManager()
    manager.add_integration("printer", PrinterIntegration(token="secret"))
    manager.add_integration("plain", PlainHooks())
    print(len(manager), "printer" in manager, list(manager), manager.get_integration("printer"))
    assert_type(manager.health(), dict[str, Health])
    manager.remove_integration("plain")
    with integration_context(manager) as integrations:
        assert_type(integrations, IntegrationsManager)
        logger.add_integrations(integrations)
    with integration_context([PlainHooks(), PrinterIntegration(token="secret")]):
        pass


def mistakes(logger: MLLogger) -> None:
    """Each of these has to be reported; an ignore that silences nothing is itself an error."""
    logger.log_metrics("loss")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    logger.log_metrik({"loss": 0.5})  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    ExperimentTracker(run_nam="baseline")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    MLflowIntegration(tracking_url="http://localhost:5000")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    WandBIntegration(mode="sometimes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PrometheusIntegration(port="8000")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PrinterIntegration("secret")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    PrinterIntegration(token="secret", prefix=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    setup_logging(integrations=["slack"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
