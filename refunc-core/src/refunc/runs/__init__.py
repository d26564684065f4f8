"""The reading side: runs as they stand in their folders, whoever wrote them and whether or not they still run."""

from __future__ import annotations

from refunc.runs.entry import ExperimentContext, LogEntry
from refunc.runs.run import Run
from refunc.runs.series import Series
from refunc.runs.store import Store, open_store
from refunc.runs.summary import MetricSummary

__all__ = ["ExperimentContext", "LogEntry", "MetricSummary", "Run", "Series", "Store", "open_store"]
