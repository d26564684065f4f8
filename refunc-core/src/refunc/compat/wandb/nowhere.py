"""The tracker of a disabled run: it takes every call, and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any


class NoTracker:
    """The calls of an `ExperimentTracker` that a run uses, without a run beneath."""

    folder = None
    status = "running"

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.logger: Any = self
        self._last: dict[str, Any] = {}

    @property
    def context(self) -> Any:
        """The last values, for the summary."""
        return SimpleNamespace(metrics=dict(self._last), artifacts=[], parameters={})

    def log_metrics(self, metrics: Mapping[str, Any], *args: Any, **options: Any) -> None:
        """Note the last values."""
        self._last.update(metrics)

    def log_result(self, name: str, value: Any) -> None:
        """Note the last value."""
        self._last[name] = value

    def _nothing(self, *args: Any, **options: Any) -> None:
        """Do nothing."""

    log_hyperparams = log_artifact = define_metric = add_tags = set_tag = _nothing
    info = warning = error = flush = _nothing

    def end_run(self, status: str = "completed", **options: Any) -> None:
        """Note that it has ended."""
        self.status = status

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.end_run("completed" if error is None else "failed")
