"""
refunc: logging and experiment tracking for machine learning, in one journal of plain files.

Training scripts import `refunc.logging`; programs that read runs back import `refunc.runs`, and those that annotate
them `refunc.annotations`. The names of `refunc.logging` are also available from `refunc`, and so are these packages.
Each is loaded on first use (PEP 562).

    annotations  tags, notes, names and marks that runs get later
    compat       modules with the names of other libraries
    delivery     runs delivered to integrations, in a process of its own
    frameworks   loggers and callbacks for ML frameworks
    journal      the files of a run: writing and reading them
    logging      the calls of a training script
    outlets      queues of records for files, and the threads that write them
    plugins      the contract for plugins, and finding them
    processes    this process, its parents, and starting another one
    runs         reading runs back
    values       users' values, made safe to store and to show
"""

__version__ = "2.0.0"

TYPE_CHECKING = False  # typing's own costs a script that has no use for it
if TYPE_CHECKING:
    from refunc import annotations as annotations
    from refunc import logging as logging
    from refunc import plugins as plugins
    from refunc import runs as runs
    from refunc.logging import AsyncHandler as AsyncHandler
    from refunc.logging import BufferedHandler as BufferedHandler
    from refunc.logging import ColoredFormatter as ColoredFormatter
    from refunc.logging import ConsoleHandler as ConsoleHandler
    from refunc.logging import EpochTracker as EpochTracker
    from refunc.logging import ExperimentContext as ExperimentContext
    from refunc.logging import ExperimentTracker as ExperimentTracker
    from refunc.logging import IntegrationsManager as IntegrationsManager
    from refunc.logging import JSONFormatter as JSONFormatter
    from refunc.logging import LogEntry as LogEntry
    from refunc.logging import LogLevel as LogLevel
    from refunc.logging import MLflowIntegration as MLflowIntegration
    from refunc.logging import MLFormatter as MLFormatter
    from refunc.logging import MLLogger as MLLogger
    from refunc.logging import ProgressTracker as ProgressTracker
    from refunc.logging import PrometheusIntegration as PrometheusIntegration
    from refunc.logging import RunHandler as RunHandler
    from refunc.logging import SlackIntegration as SlackIntegration
    from refunc.logging import TqdmProgressTracker as TqdmProgressTracker
    from refunc.logging import WandBIntegration as WandBIntegration
    from refunc.logging import active_run as active_run
    from refunc.logging import add_tags as add_tags
    from refunc.logging import auto_configure_integrations as auto_configure_integrations
    from refunc.logging import critical as critical
    from refunc.logging import debug as debug
    from refunc.logging import define_metric as define_metric
    from refunc.logging import epoch_context as epoch_context
    from refunc.logging import error as error
    from refunc.logging import exception as exception
    from refunc.logging import experiment as experiment
    from refunc.logging import experiment_context as experiment_context
    from refunc.logging import get_logger as get_logger
    from refunc.logging import info as info
    from refunc.logging import integration_context as integration_context
    from refunc.logging import launch_rank as launch_rank
    from refunc.logging import log as log
    from refunc.logging import log_artifact as log_artifact
    from refunc.logging import log_artifacts as log_artifacts
    from refunc.logging import log_hyperparams as log_hyperparams
    from refunc.logging import log_metric as log_metric
    from refunc.logging import log_metrics as log_metrics
    from refunc.logging import log_params as log_params
    from refunc.logging import log_result as log_result
    from refunc.logging import metric as metric
    from refunc.logging import progress as progress
    from refunc.logging import progress_context as progress_context
    from refunc.logging import result as result
    from refunc.logging import set_tag as set_tag
    from refunc.logging import setup_logging as setup_logging
    from refunc.logging import trace as trace
    from refunc.logging import warning as warning

if not TYPE_CHECKING:

    def __getattr__(name):
        import importlib

        if name in ("annotations", "logging", "plugins", "runs"):
            return importlib.import_module(f"refunc.{name}")
        if not name.startswith("_"):
            home = importlib.import_module("refunc.logging")
            if name in home.__all__ or name.endswith("Integration"):
                return getattr(home, name)
        raise AttributeError(f"module 'refunc' has no attribute {name!r}")

    def __dir__():
        import importlib

        packages = ("annotations", "logging", "plugins", "runs")
        return sorted({*globals(), *packages, *dir(importlib.import_module("refunc.logging"))})
