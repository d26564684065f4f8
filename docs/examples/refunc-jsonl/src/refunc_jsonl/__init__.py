"""Every record of every run as a line of one JSON file, each once."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import attrs

from refunc.plugins import (
    Artifact,
    Integration,
    LogLine,
    Metrics,
    Params,
    Record,
    Reject,
    RunEnd,
    RunInfo,
    Tags,
    hookimpl,
    option,
)

__all__ = ["JSONLIntegration"]


class JSONLIntegration(Integration):
    """Add records to a file. One process writes it; a line that a crash left unfinished is ended, and written again."""

    path: str = option(default="refunc.jsonl", env="REFUNC_JSONL_PATH", help="The file that lines are added to.")

    @property
    def target(self) -> str:
        """The file."""
        return f"jsonl {self.path}"

    def open(self) -> None:
        """Learn which records are there, by the ids that their lines carry."""
        self._known: set[tuple[str, str, int]] = set()
        self._file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115  # close() closes it
        self._file.seek(0)
        text = self._file.read()
        for line in text.splitlines():
            try:
                found = json.loads(line)
                self._known.add((found["run"], found["writer"], found["seq"]))
            except (ValueError, KeyError):  # the unfinished end of a crash
                continue
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def close(self) -> None:
        """Close the file; once is enough."""
        self._file.close()

    @hookimpl
    def on_hyperparams(self, run: RunInfo, record: Params) -> None:
        """Add params."""
        self._add(run, "params", [record])

    @hookimpl
    def on_tags(self, run: RunInfo, record: Tags) -> None:
        """Add tags."""
        self._add(run, "tags", [record])

    @hookimpl
    def on_metrics(self, run: RunInfo, records: Sequence[Metrics]) -> None:
        """Add metrics."""
        self._add(run, "metrics", records)

    @hookimpl
    def on_log(self, run: RunInfo, records: Sequence[LogLine]) -> None:
        """Add lines but those with metrics, which have come as metrics."""
        self._add(run, "log", [record for record in records if not record.points])

    @hookimpl
    def on_artifact(self, run: RunInfo, record: Artifact) -> None:
        """Add the description of an artifact, and where its files lie."""
        self._add(run, "artifact", [record])

    @hookimpl
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        """Add the end."""
        self._add(run, "end", [record])

    def _add(self, run: RunInfo, kind: str, records: Sequence[Record]) -> None:
        for record in records:
            key = (run.run_id, record.writer, record.seq)
            if key in self._known:
                continue
            fields: dict[str, Any] = {"run": run.run_id, "kind": kind, **attrs.asdict(record)}
            try:
                line = json.dumps(fields)
            except (TypeError, ValueError) as error:
                raise Reject(str(error)) from error
            self._file.write(line + "\n")
            self._known.add(key)
        self._file.flush()
        os.fsync(self._file.fileno())
