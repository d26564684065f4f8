"""
Logging for machine learning: all that a training script imports.

    from refunc.logging import MLLogger, experiment_context, progress_context

Importing this starts no thread, opens no file and loads only the modules of logging itself; each other name is loaded
when it is first used (PEP 562). That includes the integrations of the installed plugins.

    active          the runs that this process writes to
    arguments       the arguments of a call as fields of a record
    artifact_calls  the part of a logger that keeps files with a run
    artifacts       copying artifacts into the run
    banner          the lines at a run's start and end
    bars            progress bars
    console         lines on the terminal
    contexts        experiment_context, the block of start_experiment, and active_run
    copies          loggers and trackers in pickles
    current         which run a call belongs to
    definition      checking the arguments of `define_metric`
    delivering      the part of a logger that has integrations
    entries         the part of a logger that reads back
    entry_sources   where a logger's entries are read from
    formatters      the three formatters
    guesses         names of other libraries' calls, and the calls to use here
    handlers        handlers for stdlib loggers
    integrations    IntegrationsManager and its functions; attaching integrations to a run
    levels          LogLevel
    lines           log lines
    logfiles        log files
    logger          MLLogger
    messages        the text of a line
    metrics         the metrics of a call
    named           the loggers of this process by name
    notices         refunc's own warnings, each once
    own_runs        the part of a logger that starts and ends runs
    places          the part of a logger that counts steps and epochs
    preemption      signals before the end of the process
    recording       the part of a logger that records data
    run_recorder    the part of a tracker that records, bound to one run
    setup           setup_logging
    shared_loggers  get_logger
    tracker         ExperimentTracker
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from refunc.logging.levels import LogLevel
from refunc.logging.logger import MLLogger
from refunc.logging.setup import setup_logging
from refunc.logging.shared_loggers import get_logger

if TYPE_CHECKING:
    from refunc.logging.bars.epochs import EpochTracker, epoch_context
    from refunc.logging.bars.loops import ProgressTracker, TqdmProgressTracker, progress_context
    from refunc.logging.console.handler import ConsoleHandler
    from refunc.logging.contexts import active_run, experiment_context
    from refunc.logging.formatters import ColoredFormatter, JSONFormatter, MLFormatter
    from refunc.logging.handlers.buffering import AsyncHandler, BufferedHandler
    from refunc.logging.handlers.run_handler import RunHandler
    from refunc.logging.integrations import IntegrationsManager, auto_configure_integrations, integration_context
    from refunc.logging.tracker import ExperimentTracker
    from refunc.processes.launchers import launch_rank
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
    "active_run",
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
    "launch_rank",
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

#: The modules of the names that are loaded on first use.
_HOMES = {
    "AsyncHandler": "refunc.logging.handlers.buffering",
    "BufferedHandler": "refunc.logging.handlers.buffering",
    "ColoredFormatter": "refunc.logging.formatters",
    "ConsoleHandler": "refunc.logging.console.handler",
    "EpochTracker": "refunc.logging.bars.epochs",
    "ExperimentContext": "refunc.runs.entry",
    "ExperimentTracker": "refunc.logging.tracker",
    "IntegrationsManager": "refunc.logging.integrations",
    "JSONFormatter": "refunc.logging.formatters",
    "LogEntry": "refunc.runs.entry",
    "MLFormatter": "refunc.logging.formatters",
    "ProgressTracker": "refunc.logging.bars.loops",
    "RunHandler": "refunc.logging.handlers.run_handler",
    "TqdmProgressTracker": "refunc.logging.bars.loops",
    "active_run": "refunc.logging.contexts",
    "auto_configure_integrations": "refunc.logging.integrations",
    "epoch_context": "refunc.logging.bars.epochs",
    "experiment_context": "refunc.logging.contexts",
    "integration_context": "refunc.logging.integrations",
    "launch_rank": "refunc.processes.launchers",
    "progress_context": "refunc.logging.bars.loops",
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
        elif name.startswith("_"):  # asked for by the import system and by inspectors, never a plugin's
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        else:
            from refunc.plugins.discovery import class_named

            value = class_named(name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        from refunc.plugins.discovery import class_names

        return sorted({*globals(), *__all__, *class_names()})
