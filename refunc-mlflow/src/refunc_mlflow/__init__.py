"""
The refunc plugin for MLflow: one MLflow run for each refunc run, in an experiment of the same name.

Delivery may send a record again, after a crash or a lost answer. MLflow's SQL stores keep one row for each (key,
timestamp, step, value), and timestamps come from the journal, so a repeated record is one row. A run is found again by
its tag `refunc.run_id`, because creating one is not idempotent.

    addresses  checking the addresses of servers and stores
    client     MLflow's client, set up for delivery
    errors     failed requests as errors for delivery
    files      files under the names that they have at the tracker
    limits     values within the limits of MLflow's validation
    lines      the lines of a run as one text
    names      the names that MLflow accepts, and the respelling of others
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from refunc.plugins import (
    Artifact,
    Integration,
    LogLine,
    Metrics,
    Params,
    Pause,
    Reject,
    Retry,
    RunEnd,
    RunInfo,
    Tags,
    hookimpl,
    option,
    text_of,
    without_secrets,
)
from refunc_mlflow.addresses import DEFAULT, check_address, check_store
from refunc_mlflow.client import client_of
from refunc_mlflow.errors import told
from refunc_mlflow.files import called
from refunc_mlflow.limits import (
    MAX_BATCH_METRICS,
    MAX_BATCH_TEXTS,
    MAX_PARAM,
    MAX_TAG,
    flat,
    has_fraction,
    in_batches,
    millis,
    step_of,
)
from refunc_mlflow.lines import ERRORS, lines_of
from refunc_mlflow.names import LINES, LONGEST_RUN, PARAMS, experiment_of, key_of, originals_of, path_of, tag_of

__all__ = ["MLflowIntegration"]

RUN_TAG = "refunc.run_id"
#: The prefix of the tags with the originals of respelt names.
NAME_TAG = "refunc.name."
#: The most respelt names of a run with a tag; the rest are only in the journal.
MAX_ORIGINALS = 500
#: MLflow's states for statuses; a user's own status counts as finished. The tag `refunc.status` has the status itself.
STATUSES = {"failed": "FAILED", **dict.fromkeys(("interrupted", "preempted", "pruned", "crashed"), "KILLED")}


class MLflowIntegration(Integration):
    """
    Deliver params, metrics, tags, artifacts and the status of a run to MLflow.

    Credentials are MLflow's own variables: `MLFLOW_TRACKING_USERNAME` and `_PASSWORD`, or `MLFLOW_TRACKING_TOKEN`.
    MLflow has no place for lines: they are sent as a text file at the end of the run, and the last error is a tag.
    """

    address_options: ClassVar[Sequence[str] | None] = ("tracking_uri",)

    tracking_uri: str | None = option(
        default=None, env="MLFLOW_TRACKING_URI", help="The address of the tracking server or store."
    )
    experiment_name: str | None = option(
        default=None, env="MLFLOW_EXPERIMENT_NAME", help="The experiment; by default the run's."
    )
    run_id: str | None = option(default=None, env="MLFLOW_RUN_ID", help="An existing MLflow run to continue.")
    tags: dict[str, str] = option(default={}, help="Additional tags for each run.")

    def check(self) -> None:
        """Refuse a malformed address, and a local store if the package that opens it is missing."""
        if self.tracking_uri is not None:
            check_address(self.tracking_uri)
        check_store(self.tracking_uri)

    @property
    def target(self) -> str:
        """The address without a password."""
        return f"mlflow {without_secrets(self.tracking_uri or DEFAULT)}"

    def open(self) -> None:
        """Import the client without making a request."""
        self._client, self._entities = client_of(self.tracking_uri)
        self._runs: dict[str, str] = {}
        #: By run: the respelt names whose originals its tags have.
        self._originals: dict[str, set[str]] = {}

    def ping(self) -> None:
        """Return if the server or the store answers; raise its error otherwise."""
        self._client.search_experiments(max_results=1)

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Create the run, or find it; a further attempt of a run goes on with the same one."""
        known = self._run(run)
        if run.attempt > 1:
            self._ask(self._client.update_run, known, status="RUNNING")
            self._tag(run, {"refunc.attempt": str(run.attempt)})

    @hookimpl
    def on_hyperparams(self, run: RunInfo, record: Params) -> None:
        """Log nested params under dotted names; long values are cut, and then `refunc-params.json` has all params."""
        whole = flat(record.params)
        params = {key_of(name): text_of(value) for name, value in whole.values.items()}
        cut = {name: text_of(value, MAX_PARAM) for name, value in params.items()}
        known = self._ask(self._client.get_run, self._run(run)).data.params
        for name, value in params.items():
            if known.get(name, cut[name]) != cut[name]:  # MLflow refuses a changed param together with its whole batch
                self._tag(run, {key_of(f"refunc.param_conflict.{name}"): value})
        fresh = [self._entities.Param(name, value) for name, value in cut.items() if name not in known]
        for batch in in_batches(fresh, MAX_BATCH_TEXTS):
            self._ask(self._client.log_batch, self._run(run), params=batch)
        if cut != params:
            self._ask(self._client.log_dict, self._run(run), dict(run.params), PARAMS)
        self._keep(run, {**whole.renamed, **key_of.originals(whole.values)})

    @hookimpl
    def on_tags(self, run: RunInfo, record: Tags) -> None:
        """Set tags; a later value of a name wins. Delete those that were taken away."""
        self._tag(run, {tag_of(name): value for name, value in record.tags.items()})
        if record.taken:
            known = self._ask(self._client.get_run, self._run(run)).data.tags
            for name in map(tag_of, record.taken):
                if name in known:  # MLflow refuses to delete a tag that is not there
                    self._ask(self._client.delete_tag, self._run(run), name)
        self._keep(run, tag_of.originals(record.tags))

    @hookimpl
    def on_metrics(self, run: RunInfo, records: Sequence[Metrics]) -> None:
        """
        Log points with the time and step of their records, a thousand per request.

        MLflow's steps are whole numbers: a step with a fraction is logged as a metric `step` as well.
        """
        names: dict[str, str] = {}
        points: list[Any] = []
        for record in records:
            moment, step = millis(record.time), step_of(record)
            if has_fraction(record) and "step" not in record.metrics:
                points.append(self._entities.Metric("step", float(record.step or 0), moment, step))
            for name, value in record.metrics.items():
                key = names.get(name) or names.setdefault(name, key_of(name))
                if value is not None:
                    points.append(self._entities.Metric(key, float(value), moment, step))
        for batch in in_batches(points, MAX_BATCH_METRICS):
            self._ask(self._client.log_batch, self._run(run), metrics=batch)
        self._keep(run, key_of.originals(names))

    @hookimpl
    def on_artifact(self, run: RunInfo, record: Artifact) -> None:
        """Upload a file, or a folder with its subfolders, under the user's names."""
        folder = record.name if record.mtime is None and record.stored else ""
        facts = {key_of(f"refunc.artifact_type.{record.name}"): record.type} if record.type else {}
        if record.metadata:
            facts[key_of(f"refunc.artifact_metadata.{record.name}")] = json.dumps(record.metadata)
        if facts:
            self._tag(run, facts)
        originals: dict[str, str] = {}
        for file in run.files_of(record):
            given = f"{folder}/{file.path}".strip("/")
            originals |= originals_of(given)
            parent, _, name = path_of(given).rpartition("/")
            with called(file.source, name) as source:
                self._ask(self._client.log_artifact, self._run(run), str(source), parent or None)
        self._keep(run, originals)

    @hookimpl
    def on_log(self, run: RunInfo, records: Sequence[LogLine]) -> None:
        """Tag the run with the last error, and with the metadata of its results; lines are sent at the end."""
        facts: dict[str, str] = {}
        for line in records:
            if line.level in ERRORS:
                facts["refunc.last_error"] = f"{line.message}\n{(line.exception or '')[-4_000:]}".strip()
            if line.level == "RESULT" and "metadata" in line.extra:
                facts[key_of(f"refunc.result_metadata.{line.message}")] = json.dumps(line.extra["metadata"])
        if facts:
            self._tag(run, facts)

    @hookimpl
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        """Set the status: FINISHED, FAILED, or KILLED: interrupted, preempted or pruned, or its process is gone."""
        facts = {"refunc.status": record.status}
        if record.error:
            facts["refunc.error"] = record.error[-4_000:]
        if record.dropped:
            facts["refunc.records_dropped"] = str(record.dropped)
        self._tag(run, facts)
        status = STATUSES.get(record.status, "FINISHED")
        ended = millis(run.start_time + record.duration)
        self._ask(self._client.set_terminated, self._run(run), status, ended)
        self._send_lines(run)

    def _send_lines(self, run: RunInfo) -> None:
        """Send the run's lines after all else: a store that refuses files must not keep a run from ending."""
        lines = lines_of(run)
        facts = {"refunc.errors": str(lines.errors)} if lines.errors else {}
        try:
            if lines.total:
                self._ask(self._client.log_text, self._run(run), lines.text, LINES)
        except (Retry, Pause, OSError):
            raise
        except Exception as error:  # any error of the artifact store: the run has ended in any case
            facts["refunc.log_not_sent"] = str(error)[:1_000]
        if facts:
            self._tag(run, facts)

    def _run(self, run: RunInfo) -> str:
        """Return the id of the MLflow run, which is created once."""
        if run.run_id not in self._runs:
            try:
                self._runs[run.run_id] = self._given() or self._find(run) or self._create(run)
            except Reject as error:  # not caused by a record: a deleted experiment, or an unknown run id
                raise Pause(f"{error}. Restore it in MLflow; the records wait in the run.") from None
        return self._runs[run.run_id]

    def _given(self) -> str | None:
        """Return the run that the user named, if it exists."""
        return str(self._ask(self._client.get_run, self.run_id).info.run_id) if self.run_id else None

    def _experiment(self, run: RunInfo) -> str:
        name = experiment_of(self.experiment_name or run.experiment_name or "Default")
        found = self._ask(self._client.get_experiment_by_name, name)
        if found is None:
            try:
                return str(self._ask(self._client.create_experiment, name))
            except Exception:  # another process has just created it, or the next line raises the reason
                found = self._ask(self._client.get_experiment_by_name, name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _find(self, run: RunInfo, run_id: str | None = None) -> str | None:
        """Return the MLflow run that an earlier delivery created for *run*, or for the refunc run *run_id*."""
        query = f"tags.`{RUN_TAG}` = '{run_id or run.run_id}'"
        found = self._ask(self._client.search_runs, [self._experiment(run)], query, max_results=1)
        return str(found[0].info.run_id) if found else None

    def _create(self, run: RunInfo) -> str:
        tags = {
            **{tag_of(name): text_of(value, MAX_TAG) for name, value in self.tags.items()},
            RUN_TAG: run.run_id,
            "refunc.folder": run.folder.name,
        }
        experiment, name = self.experiment_name or run.experiment_name, text_of(run.name, LONGEST_RUN)
        if experiment:
            originals = experiment_of.originals([experiment])
            tags |= {f"{NAME_TAG}{mark}": text_of(each, MAX_TAG) for mark, each in originals.items()}
        if name != run.name:
            tags["refunc.run_name"] = text_of(run.name, MAX_TAG)
        if run.parent_id:
            parent = self._runs.get(run.parent_id) or self._find(run, run.parent_id)
            if parent:
                tags["mlflow.parentRunId"] = parent
        made = self._ask(self._client.create_run, self._experiment(run), millis(run.start_time), tags, name)
        return str(made.info.run_id)

    def _tag(self, run: RunInfo, tags: dict[str, str]) -> None:
        # A key that is already respelt, or ends like a respelt one, is used as it is.
        entities = [self._entities.RunTag(key, text_of(value, MAX_TAG)) for key, value in tags.items()]
        for batch in in_batches(entities, MAX_BATCH_TEXTS):
            self._ask(self._client.log_batch, self._run(run), tags=batch)

    def _keep(self, run: RunInfo, originals: dict[str, str]) -> None:
        """Store the *originals* of respelt names as tags, by their digits; at most `MAX_ORIGINALS` per run."""
        known = self._originals.setdefault(run.run_id, set())
        fresh = {f"{NAME_TAG}{mark}": name for mark, name in originals.items() if mark not in known}
        fresh = dict(list(fresh.items())[: MAX_ORIGINALS - len(known)])
        if fresh:
            self._tag(run, fresh)
            known.update(key.removeprefix(NAME_TAG) for key in fresh)

    def _ask(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make a request, and turn a failure into an error for delivery."""
        try:
            return call(*args, **kwargs)
        except Exception as error:  # `told` decides by the server's answer
            raise told(error) from None
