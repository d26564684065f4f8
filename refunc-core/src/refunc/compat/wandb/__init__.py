"""
W&B's names for code that was written for W&B: `import refunc.compat.wandb as wandb`.

Nothing is patched, and nothing is sent. Other names raise an AttributeError that gives a replacement. Each name is
loaded when it is first used.

    alerts          `alert`
    arrays          arrays and tensors, for media
    artifact        artifacts that are put together
    artifact_calls  the calls of a run that log and use artifacts
    configs         `config`
    current         the run that is meant, and the functions
    definitions     `define_metric`
    earlier         the values of a run's earlier attempts
    environment     `Settings`, and the variables `WANDB_...`
    errors          the names for `from wandb.errors import ...`
    files           files of a run, and `save`
    history         `log`
    media           images, sounds, videos, pages, histograms
    missing         answers for names that do not exist here
    nowhere         the tracker of a disabled run
    opening         `init`
    plot            tables with a word on how they are drawn
    png             PNG files of arrays
    problems        the errors
    runs            `Run`
    scratch         folders for files on their way into a run
    sdk             the inner names of W&B's client that frameworks import
    stored          artifacts that were logged, and their versions
    summaries       `summary`
    table           `Table`
    wandb_run       the name for `from wandb.wandb_run import Run`
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refunc.compat.wandb import plot as plot
    from refunc.compat.wandb.alerts import AlertLevel
    from refunc.compat.wandb.artifact import Artifact
    from refunc.compat.wandb.configs import Config
    from refunc.compat.wandb.current import (
        alert,
        define_metric,
        finish,
        log,
        log_artifact,
        log_model,
        login,
        mark_preempting,
        require,
        save,
        setup,
        teardown,
        termerror,
        termlog,
        termwarn,
        unwatch,
        use_artifact,
        use_model,
        watch,
    )
    from refunc.compat.wandb.environment import Settings
    from refunc.compat.wandb.media import Audio, Histogram, Html, Image, Video
    from refunc.compat.wandb.opening import init
    from refunc.compat.wandb.plot import plot_table
    from refunc.compat.wandb.problems import CommError, Error, UsageError
    from refunc.compat.wandb.runs import Run
    from refunc.compat.wandb.summaries import Summary
    from refunc.compat.wandb.table import Table

    config: Config
    summary: Summary
    run: Run | None

#: The version of W&B's client that this follows, for code that compares it.
__version__ = "0.31.0"

_HOMES = {
    "AlertLevel": "alerts",
    "Artifact": "artifact",
    "Audio": "media",
    "CommError": "problems",
    "Error": "problems",
    "Histogram": "media",
    "Html": "media",
    "Image": "media",
    "Run": "runs",
    "Settings": "environment",
    "Table": "table",
    "UsageError": "problems",
    "Video": "media",
    "init": "opening",
    "plot_table": "plot",
}

__all__ = [
    "AlertLevel",
    "Artifact",
    "Audio",
    "CommError",
    "Error",
    "Histogram",
    "Html",
    "Image",
    "Run",
    "Settings",
    "Table",
    "UsageError",
    "Video",
    "alert",
    "config",
    "define_metric",
    "finish",
    "init",
    "log",
    "log_artifact",
    "log_model",
    "login",
    "mark_preempting",
    "plot",
    "plot_table",
    "require",
    "run",
    "save",
    "setup",
    "summary",
    "teardown",
    "termerror",
    "termlog",
    "termwarn",
    "unwatch",
    "use_artifact",
    "use_model",
    "watch",
]

if not TYPE_CHECKING:  # hidden from type checkers: to them a module with __getattr__ has every name

    def __getattr__(name: str) -> Any:
        if name in ("run", "config", "summary"):
            current = importlib.import_module("refunc.compat.wandb.current")
            if name == "run":
                return current.run
            return getattr(current.run, name) if current.run is not None else current.NotYet(name)
        if name in ("plot", "errors", "sdk"):
            return importlib.import_module(f"refunc.compat.wandb.{name}")
        if name not in __all__:
            from refunc.compat.wandb.missing import no_such

            raise no_such("refunc.compat.wandb", name, __all__)
        value = getattr(importlib.import_module(f"refunc.compat.wandb.{_HOMES.get(name, 'current')}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
