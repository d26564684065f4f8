"""
The refunc plugin for MLflow: one MLflow run for each refunc run, in an experiment of the same name.

Delivery may bring a record again, after a crash or an answer that got lost. MLflow's SQL stores keep one row for each
(key, timestamp, step, value), and timestamps come from the journal, so the same record twice is one row. A run is found
again by its tag `refunc.run_id`, for making one is not idempotent.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from refunc.plugins import (
    Artifact,
    Integration,
    Metrics,
    NotConfigured,
    Params,
    Pause,
    Reject,
    RunEnd,
    RunInfo,
    Tags,
    hookimpl,
    option,
    without_secrets,
)
from refunc.plugins.options import check_url
from refunc_mlflow.errors import told
from refunc_mlflow.limits import (
    MAX_BATCH_METRICS,
    MAX_BATCH_TEXTS,
    cut,
    flat,
    in_batches,
    key_of,
    millis,
    step_of,
)

__all__ = ["MLflowIntegration"]

RUN_TAG = "refunc.run_id"
#: Words for how a run ended; a user's own word counts as finished.
STATUSES = {"failed": "FAILED", "interrupted": "KILLED", "crashed": "KILLED"}
#: The client's own patience, so that delivery's decides: its default would block a call for four minutes.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
REMOTE = ("http", "https", "databricks", "uc", "databricks-uc")


class MLflowIntegration(Integration):
    """
    Deliver params, metrics, tags, artifacts and the status of a run to MLflow.

    Credentials are MLflow's own variables: `MLFLOW_TRACKING_USERNAME` and `_PASSWORD`, or `MLFLOW_TRACKING_TOKEN`.
    Lines stay in the journal; MLflow has no place for them.
    """

    tracking_uri: str | None = option(default=None, env="MLFLOW_TRACKING_URI", help="Where the tracking server is.")
    experiment_name: str | None = option(
        default=None, env="MLFLOW_EXPERIMENT_NAME", help="By default the name of the run's experiment."
    )
    run_id: str | None = option(default=None, env="MLFLOW_RUN_ID", help="An MLflow run to go on with.")
    tags: dict[str, str] = option(default={}, help="Further tags of each run.")

    def check(self) -> None:
        """Refuse a malformed address, and a local store without the package that can open one."""
        scheme = urlsplit(self.tracking_uri or "").scheme
        if scheme in ("http", "https") or (self.tracking_uri and "://" not in self.tracking_uri and ":" in scheme):
            check_url("mlflow", "tracking_uri", self.tracking_uri or "", ("http", "https"))
        elif self.tracking_uri == "":
            check_url("mlflow", "tracking_uri", "", ("http", "https"))
        if scheme not in REMOTE and self.tracking_uri != "databricks" and not _has_stores():
            what = (
                "tracking_uri is not set"
                if self.tracking_uri is None
                else f"tracking_uri is {self.target.removeprefix('mlflow ')}"
            )
            raise NotConfigured(
                f"mlflow: {what}, and a local store needs the package `mlflow`, of which only mlflow-skinny is here. "
                "Name a server with MLflowIntegration(tracking_uri=...) or MLFLOW_TRACKING_URI, or: pip install mlflow"
            )

    @property
    def target(self) -> str:
        """The address without a password."""
        return f"mlflow {without_secrets(self.tracking_uri or 'sqlite:///mlflow.db')}"

    def open(self) -> None:
        """Import the client; no request is made."""
        os.environ.update({name: value for name, value in {**PATIENCE, **QUIET}.items() if name not in os.environ})
        import mlflow.entities
        from mlflow.tracking import MlflowClient

        self._entities: Any = mlflow.entities
        self._client: Any = MlflowClient(tracking_uri=self.tracking_uri)
        self._runs: dict[str, str] = {}
        self._renamed: set[tuple[str, str]] = set()

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Make the run, or find it."""
        self._run(run)

    @hookimpl
    def on_hyperparams(self, run: RunInfo, record: Params) -> None:
        """Log nested params under dotted names; one that is too long is cut, and all of them are in `params.json`."""
        params = {key_of(name): value for name, value in flat(record.params).items()}
        known = self._ask(self._client.get_run, self._run(run)).data.params
        for name, value in params.items():
            if known.get(name, cut(value)) != cut(value):  # MLflow refuses a changed param, and the whole batch with it
                self._tag(run, {f"refunc.param_conflict.{name}": value})
        fresh = [self._entities.Param(name, cut(value)) for name, value in params.items() if name not in known]
        for batch in in_batches(fresh, MAX_BATCH_TEXTS):
            self._ask(self._client.log_batch, self._run(run), params=batch)
        if any(cut(value) != value for value in params.values()):
            self._ask(self._client.log_dict, self._run(run), dict(run.params), "params.json")

    @hookimpl
    def on_tags(self, run: RunInfo, record: Tags) -> None:
        """Set tags; a later value of a name wins."""
        self._tag(run, record.tags)

    @hookimpl
    def on_metrics(self, run: RunInfo, records: Sequence[Metrics]) -> None:
        """Log points with the time and step of their records, a thousand a request."""
        names: dict[str, str] = {}
        points: list[Any] = []
        for record in records:
            moment, step = millis(record.time), step_of(record)
            for name, value in record.metrics.items():
                key = names.get(name) or names.setdefault(name, key_of(name))
                if value is not None:
                    points.append(self._entities.Metric(key, float(value), moment, step))
        for batch in in_batches(points, MAX_BATCH_METRICS):
            self._ask(self._client.log_batch, self._run(run), metrics=batch)
        renamed = {key: name for name, key in names.items() if key != name and (run.run_id, key) not in self._renamed}
        if renamed:
            self._tag(run, {f"refunc.metric_name.{key}": name for key, name in renamed.items()})
            self._renamed.update((run.run_id, key) for key in renamed)

    @hookimpl
    def on_artifact(self, run: RunInfo, record: Artifact) -> None:
        """Upload a file, or a folder with the folders in it, under the names that the user knows."""
        folder = record.name if record.mtime is None and record.stored else ""
        for file in run.files_of(record):
            parent, _, name = f"{folder}/{file.path}".strip("/").rpartition("/")
            with tempfile.TemporaryDirectory() as draft:
                # The client names what it uploads by the file's own name, which in the run is a hash.
                source = Path(draft, name)
                try:
                    source.symlink_to(file.source.absolute())
                except OSError:  # Windows without the right to link
                    shutil.copyfile(file.source, source)
                self._ask(self._client.log_artifact, self._run(run), str(source), parent or None)

    @hookimpl
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        """Set the status: FINISHED, FAILED, or KILLED where it was interrupted or its process is gone."""
        facts = {"refunc.status": record.status}
        if record.error:
            facts["refunc.error"] = record.error[-4_000:]
        if record.dropped:
            facts["refunc.records_dropped"] = str(record.dropped)
        self._tag(run, facts)
        status = STATUSES.get(record.status, "FINISHED")
        ended = millis(run.start_time + record.duration)
        self._ask(self._client.set_terminated, self._run(run), status, ended)

    def _run(self, run: RunInfo) -> str:
        """Return the id of the MLflow run, which is made once."""
        if run.run_id not in self._runs:
            try:
                self._runs[run.run_id] = self._given() or self._find(run) or self._create(run)
            except Reject as error:  # of no record is it the fault: a deleted experiment, a run id that there is not
                raise Pause(f"{error}. Restore it in MLflow; what was logged waits.") from None
        return self._runs[run.run_id]

    def _given(self) -> str | None:
        """Return the run that the user named, if there is one of that name."""
        return str(self._ask(self._client.get_run, self.run_id).info.run_id) if self.run_id else None

    def _experiment(self, run: RunInfo) -> str:
        name = self.experiment_name or run.experiment_name or "Default"
        found = self._ask(self._client.get_experiment_by_name, name)
        if found is None:
            try:
                return str(self._ask(self._client.create_experiment, name))
            except Exception:  # another process made it meanwhile, or there is a reason that the next line tells
                found = self._ask(self._client.get_experiment_by_name, name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _find(self, run: RunInfo, run_id: str | None = None) -> str | None:
        """Return the MLflow run that an earlier delivery made of *run*, or of the refunc run *run_id*."""
        query = f"tags.`{RUN_TAG}` = '{run_id or run.run_id}'"
        found = self._ask(self._client.search_runs, [self._experiment(run)], query, max_results=1)
        return str(found[0].info.run_id) if found else None

    def _create(self, run: RunInfo) -> str:
        tags = {**self.tags, RUN_TAG: run.run_id, "refunc.folder": run.folder.name}
        if run.parent_id:
            parent = self._runs.get(run.parent_id) or self._find(run, run.parent_id)
            if parent:
                tags["mlflow.parentRunId"] = parent
        start = millis(run.start_time)
        made = self._ask(self._client.create_run, self._experiment(run), start, tags, run.name)
        return str(made.info.run_id)

    def _tag(self, run: RunInfo, tags: dict[str, str]) -> None:
        entities = [self._entities.RunTag(key_of(name), cut(value, 5_000)) for name, value in tags.items()]
        for batch in in_batches(entities, MAX_BATCH_TEXTS):
            self._ask(self._client.log_batch, self._run(run), tags=batch)

    def _ask(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make a request, and say of a failure what is to become of the records."""
        try:
            return call(*args, **kwargs)
        except Exception as error:  # whatever it is, `told` decides by what the server said
            raise told(error) from None


def _has_stores() -> bool:
    """Whether the full package is here, which alone can open databases; asked without importing it."""
    # Not `find_spec("mlflow.store.db")`: it imports all of mlflow on the way there.
    mlflow = importlib.util.find_spec("mlflow")
    places = mlflow.submodule_search_locations or [] if mlflow is not None else []
    return importlib.util.find_spec("sqlalchemy") is not None and any(Path(p, "store", "db").is_dir() for p in places)
