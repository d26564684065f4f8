"""Keeping the model of a framework with a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from tempfile import TemporaryDirectory

from refunc.logging import ExperimentTracker, MLLogger, warning


def log_model(run: ExperimentTracker | MLLogger, name: str, save: Callable[[str], object]) -> None:
    """
    Keep the file that *save* writes, given a path, as an artifact of that name.

    If it cannot be written, as on a full disk, one warning says so: the framework still has the model.
    """
    try:
        with TemporaryDirectory(prefix="refunc-model-") as folder:
            path = os.path.join(folder, name)
            save(path)
            run.log_artifact(path, "model", copy=True)
    except Exception as error:
        warning("the model is not in the run: %s could not be written: %s", name, error)
