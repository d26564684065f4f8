"""
Logging for machine learning: all that a training script imports.

    from refunc.logging import MLLogger, experiment_context, progress_context

Importing this starts no thread, opens no file and loads only what logging itself needs; each other name is loaded when
it is first used (PEP 562), integrations from whatever plugins are installed among them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from refunc.logging.levels import LogLevel
from refunc.logging.logger import MLLogger
from refunc.logging.setup import get_logger, setup_logging

if TYPE_CHECKING:
    from refunc.logging.console import ConsoleHandler
    from refunc.logging.delivering import IntegrationsManager, auto_configure_integrations, integration_context
    from refunc.logging.epochs import EpochTracker, epoch_context
    from refunc.logging.experiment import ExperimentTracker, experiment_context
    from refunc.logging.formatters import ColoredFormatter, JSONFormatter, MLFormatter
    from refunc.logging.handlers import AsyncHandler, BufferedHandler
    from refunc.logging.progress import ProgressTracker, TqdmProgressTracker, progress_context
    from refunc.logging.run_handler import RunHandler
    from refunc.runs.entry import ExperimentContext, LogEntry
    from refunc_mlflow import MLflowIntegration as MLflowIntegration
    from refunc_prometheus import PrometheusIntegration as PrometheusIntegration
    from refunc_slack import SlackIntegration as SlackIntegration
    from refunc_wandb import WandBIntegration as WandBIntegration

    _default = MLLogger()
    trace, debug, info, warning = _default.trace, _default.debug, _default.info, _default.warning
    error, critical, exception, log = _default.error, _default.critical, _default.exception, _default.log
    metric, experiment, progress, result = _default.metric, _default.experiment, _default.progress, _default.result
    log_metrics, log_metric = _default.log_metrics, _default.log_metric
    log_hyperparams, log_params = _default.log_hyperparams, _default.log_params
    log_artifact, log_artifacts = _default.log_artifact, _default.log_artifacts
    add_tags, set_tag, log_result = _default.add_tags, _default.set_tag, _default.log_result
    define_metric = _default.define_metric

__all__ = [
    "AsyncHandler",
    "BufferedHandler",
    "ColoredFormatter",
    "ConsoleHandler",
    "EpochTracker",
    "ExperimentContext",
    "ExperimentTracker",
    "IntegrationsManager",
    "JSONFormatter",
    "LogEntry",
    "LogLevel",
    "MLFormatter",
    "MLLogger",
    "ProgressTracker",
    "RunHandler",
    "TqdmProgressTracker",
    "add_tags",
    "auto_configure_integrations",
    "critical",
    "debug",
    "define_metric",
    "epoch_context",
    "error",
    "exception",
    "experiment",
    "experiment_context",
    "get_logger",
    "info",
    "integration_context",
    "log",
    "log_artifact",
    "log_artifacts",
    "log_hyperparams",
    "log_metric",
    "log_metrics",
    "log_params",
    "log_result",
    "metric",
    "progress",
    "progress_context",
    "result",
    "set_tag",
    "setup_logging",
    "trace",
    "warning",
]

#: Where the names live that are loaded when they are first used.
_HOMES = {
    "AsyncHandler": "refunc.logging.handlers",
    "BufferedHandler": "refunc.logging.handlers",
    "ColoredFormatter": "refunc.logging.formatters",
    "ConsoleHandler": "refunc.logging.console",
    "EpochTracker": "refunc.logging.epochs",
    "ExperimentContext": "refunc.runs.entry",
    "ExperimentTracker": "refunc.logging.experiment",
    "IntegrationsManager": "refunc.logging.delivering",
    "JSONFormatter": "refunc.logging.formatters",
    "LogEntry": "refunc.runs.entry",
    "MLFormatter": "refunc.logging.formatters",
    "ProgressTracker": "refunc.logging.progress",
    "RunHandler": "refunc.logging.run_handler",
    "TqdmProgressTracker": "refunc.logging.progress",
    "auto_configure_integrations": "refunc.logging.delivering",
    "epoch_context": "refunc.logging.epochs",
    "experiment_context": "refunc.logging.experiment",
    "integration_context": "refunc.logging.delivering",
    "progress_context": "refunc.logging.progress",
}

#: Methods of the default logger that are functions of this module too: the bound methods themselves, so that the
#: caller's file and line are right.
_DEFAULT_LOGGER = frozenset(name for name in __all__ if name.islower() and name not in _HOMES) - {
    "get_logger",
    "setup_logging",
}

if not TYPE_CHECKING:  # hidden from type checkers: to them a module with __getattr__ has every name, misspelt ones too

    def __getattr__(name: str) -> Any:
        home = _HOMES.get(name)
        if home is not None:
            value = getattr(importlib.import_module(home), name)
        elif name in _DEFAULT_LOGGER:
            value = getattr(get_logger(), name)
        elif name.startswith("_"):  # what the import system and inspectors ask for is no plugin's
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        else:
            from refunc.plugins.discovery import class_named

            value = class_named(name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
