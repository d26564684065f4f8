"""
The refunc plugin for Weights & Biases: one W&B run for each refunc run, with the same id.

W&B's own step must not decrease: a row with a smaller one is dropped. So it counts rows in the order of the journal,
and the user's step is a column over which every metric is drawn (`define_metric`). Each row has its record's identity
in `refunc/record`. Online, a restarted delivery asks the server for the last record of each writer and sends the rest.
Offline, it reads them from the files of the delivery before, and writes another folder, whose rows have higher numbers,
so that `wandb sync` of both drops none.

    client   W&B's client: its settings, its logins, its folders, its own process
    errors   failed calls of the client as errors for delivery
    names    the names that W&B accepts, and the respelling of others
    rows     records in W&B's forms
    uploads  whether the client still sends
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal

from refunc.plugins import (
    Artifact,
    Integration,
    LogLine,
    Metrics,
    Params,
    Pause,
    RunEnd,
    RunInfo,
    Tags,
    check_url,
    hookimpl,
    option,
    text_of,
)
from refunc_wandb.client import has_login, most_rows_since, offline_folders, release, settings_of
from refunc_wandb.errors import told
from refunc_wandb.names import (
    LONGEST_TEXT,
    Originals,
    artifact_of,
    metric_of,
    originals_of,
    path_of,
    project_of,
    tag_of,
    text_tag_of,
    type_of,
)
from refunc_wandb.rows import PLACE, config_of, metadata_of, named, places_in, row_of, rows_in, summary_of
from refunc_wandb.uploads import Upload

__all__ = ["WandBIntegration"]

#: The most records of a run that are kept in memory, in case the server refuses the key for a while.
KEPT_ROWS = 20_000
#: The states of a run whose process has not ended well.
FAILED = ("failed", "interrupted", "preempted", "crashed")


class WandBIntegration(Integration):
    """
    Deliver params, metrics, tags, results, artifacts and the exit code of a run to W&B.

    It never prompts: without a key it works offline, and `wandb sync` sends its files. `WANDB_*` variables are used for
    options that are not given.
    """

    address_options: ClassVar[Sequence[str] | None] = ("base_url", "dir")

    project: str | None = option(
        default=None, env="WANDB_PROJECT", help="The project; by default the run's experiment."
    )
    entity: str | None = option(default=None, env="WANDB_ENTITY", help="The user or team.")
    config: dict[str, Any] = option(default={}, help="Config in addition to the run's params.")
    mode: Literal["online", "offline", "disabled"] | None = option(
        default=None, env="WANDB_MODE", help="By default online with a key, else offline."
    )
    tags: list[str] = option(default=[], env="WANDB_TAGS", help="Tags in addition to the run's own.")
    notes: str | None = option(default=None, env="WANDB_NOTES", help="Notes on the run.")
    group: str | None = option(default=None, env="WANDB_RUN_GROUP", help="The group of the run.")
    dir: str | None = option(default=None, env="WANDB_DIR", help="The folder of W&B's files; by default in the run.")
    base_url: str | None = option(default=None, env="WANDB_BASE_URL", help="The address of a self-hosted server.")
    api_key: str | None = option(
        default=None, env="WANDB_API_KEY", secret=True, help="The API key; by default that of `wandb login`."
    )

    def check(self) -> None:
        """Refuse a malformed address."""
        if self.base_url is not None:
            check_url("wandb", "base_url", self.base_url, ("http", "https"))

    @property
    def target(self) -> str:
        """The project, and whether it goes to a server or to files."""
        place = "/".join(filter(None, (self.entity, self.project)))
        return " ".join(filter(None, ("wandb", place, f"({self._mode()})")))

    def _mode(self) -> str:
        return self.mode or ("online" if self.api_key or has_login(self.base_url) else "offline")

    def open(self) -> None:
        """Import the client."""
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        self._wandb: Any = wandb
        self._runs: dict[str, Any] = {}
        #: By run and writer: the number of the last record that W&B has.
        self._sent: dict[tuple[str, str], int] = {}
        self._uploads: dict[str, Upload] = {}
        #: By run: the newest records that were logged.
        self._kept: dict[str, deque[Metrics]] = {}
        self._originals = Originals()
        #: By run: W&B's own number of the next row; with None, W&B counts.
        self._steps: dict[str, Iterator[int | None]] = {}

    def close(self) -> None:
        """Finish the open runs, within the time limit."""
        for run_id in list(getattr(self, "_runs", {})):
            ours = self._runs.pop(run_id)
            # Opened again after its end, by a tag that came later, it must not count as finished if it had failed.
            ours.finish(exit_code=1 if ours.summary.get("refunc/status") in FAILED else None)

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Start the W&B run, or resume it."""
        self._run(run)

    @hookimpl
    def on_hyperparams(self, run: RunInfo, record: Params) -> None:
        """Add params to the config; a later value of a name wins."""
        self._ask(self._run(run).config.update, config_of(record.params), allow_val_change=True)

    @hookimpl
    def on_tags(self, run: RunInfo, record: Tags) -> None:
        """Tag the run `name:value`, and add the full tags to the config, because W&B refuses long ones."""
        ours = self._run(run)
        ours.tags = self._tags(run)
        whole = {text_of(name): text_of(value) for name, value in run.tags.items()}
        self._ask(ours.config.update, {"tags": whole}, allow_val_change=True)

    @hookimpl
    def on_metrics(self, run: RunInfo, records: Sequence[Metrics]) -> None:
        """Log a row for each record, in the order of the journal."""
        ours = self._run(run)
        for record in records:
            key = (run.run_id, record.writer)
            if run.revived or record.seq > self._sent.get(key, -1):
                self._log(run, ours, record)
        self._keep(run, metric_of.originals({name for record in records for name in record.metrics}))
        for writer in {record.writer for record in records}:
            ours.summary[f"{PLACE}/{writer}"] = self._sent[run.run_id, writer]

    @hookimpl
    def on_log(self, run: RunInfo, records: Sequence[LogLine]) -> None:
        """Add results to the summary. Other lines stay in the journal."""
        for line in records:
            if line.level == "RESULT":
                values = {**line.other, **line.metrics}
                self._ask(self._run(run).summary.update, summary_of(values))
                self._keep(run, metric_of.originals(values))

    @hookimpl
    def on_artifact(self, run: RunInfo, record: Artifact) -> None:
        """Upload a file or folder; the same content is the same version."""
        files = run.files_of(record)
        if not files:
            return
        kind = record.type or "artifact"
        metadata = metadata_of(record, {**artifact_of.originals([record.name]), **type_of.originals([kind])})
        name = f"{artifact_of(record.name)}-{run.run_id}"
        artifact = self._ask(self._wandb.Artifact, name, type=type_of(kind), metadata=metadata)
        for file in files:
            self._ask(artifact.add_file, str(file.source), name=path_of(file.path))
            self._keep(run, originals_of(file.path))
        self._ask(self._run(run).log_artifact, artifact)

    @hookimpl
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        """
        Finish the run: exit code 1 if it failed, was interrupted or preempted, or its process is gone, else 0.

        Later records of a child open it again.
        """
        # If the key was refused meanwhile, restarting the run shows whether it still is.
        if self._finish(run, record) is not None and (said := self._finish(run, record)) is not None:
            raise Pause(f"{said}. Set WANDB_API_KEY.")
        self._kept.pop(run.run_id, None)

    def _finish(self, run: RunInfo, record: RunEnd) -> str | None:
        """Finish the W&B run; return the server's answer if it refused the key before it had everything."""
        ours = self._run(run)
        self._ask(ours.summary.update, {**summary_of(record.metrics), "refunc/status": text_of(record.status)})
        if record.error:
            ours.summary["refunc/error"] = text_of(record.error[-4_000:])
        exit_code = 1 if record.status in FAILED else 0
        self._ask(ours.finish, exit_code=exit_code)
        said = self._uploads[run.run_id].refusal()
        self._leave(run, forget=said is not None)
        return said

    def _leave(self, run: RunInfo, *, forget: bool) -> None:
        """Restart the run when it is used next; *forget* the sent records, because not all of them arrived."""
        self._runs.pop(run.run_id).finish()
        if forget:
            self._sent = {key: seq for key, seq in self._sent.items() if key[0] != run.run_id}
            self._originals.forget(run.run_id)

    def _log(self, run: RunInfo, ours: Any, record: Metrics) -> None:
        """Log a row, and keep it for a while: the client may still report that it was not sent."""
        self._ask(ours.log, row_of(record), step=next(self._steps[run.run_id]), commit=True)
        key = (run.run_id, record.writer)
        self._sent[key] = max(record.seq, self._sent.get(key, -1))
        if self._mode() == "online":
            self._kept.setdefault(run.run_id, deque(maxlen=KEPT_ROWS)).append(record)

    def _run(self, run: RunInfo) -> Any:
        """Return the W&B run, which is started once per process, and again if its key was refused meanwhile."""
        if run.run_id in self._runs and self._uploads[run.run_id].refusal() is not None:
            self._leave(run, forget=True)
        if run.run_id not in self._runs:
            earlier = offline_folders(self._dir(run), run.run_id)
            try:
                ours = self._runs[run.run_id] = self._ask(self._start, run)
            except Exception:
                release(self._wandb, run.run_id)
                raise
            # Offline, no server knows how many rows an earlier delivery wrote.
            first = most_rows_since(run.start_time) if earlier else None
            self._steps[run.run_id] = itertools.count(first) if first is not None else itertools.repeat(None)
            known = (row for folder in earlier for row in rows_in(folder))
            for writer, seq in (place for each in (dict(ours.summary), *known) for place in places_in(each)):
                self._sent[run.run_id, writer] = max(seq, self._sent.get((run.run_id, writer), -1))
            ours.define_metric("refunc/step", hidden=True)
            ours.define_metric("*", step_metric="refunc/step")
            self._uploads[run.run_id] = Upload(ours)
            for record in list(self._kept.get(run.run_id, ())):
                if record.seq > self._sent.get((run.run_id, record.writer), -1):
                    self._log(run, ours, record)
        return self._runs[run.run_id]

    def _dir(self, run: RunInfo) -> str:
        if self.dir:
            return self.dir
        folder = run.folder / "wandb"
        if folder.is_symlink():  # a foreign run may link to any folder
            raise Pause(f"{folder} is a link, and W&B would write to its target. Remove it, or set WANDB_DIR.")
        return str(run.folder)

    def _start(self, run: RunInfo) -> Any:
        project = self.project or run.experiment_name
        return self._wandb.init(
            id=run.run_id,
            name=text_of(run.name, LONGEST_TEXT),
            project=project_of(project) if project else None,
            entity=self.entity,
            group=text_of(self.group, LONGEST_TEXT) if self.group else None,
            notes=text_of(self.notes) if self.notes else None,
            config={**config_of(self.config), **config_of(run.params), **self._own(run)},
            tags=self._tags(run),
            dir=self._dir(run),
            mode=self._mode(),
            resume="allow" if self._mode() == "online" else None,
            reinit="create_new",
            settings=settings_of(self._wandb, api_key=self.api_key, base_url=self.base_url),
        )

    def _tags(self, run: RunInfo) -> tuple[str, ...]:
        """Return all tags, without duplicates."""
        own = (text_tag_of(tag) for tag in self.tags)
        return tuple(dict.fromkeys((*own, *(tag_of(name, value) for name, value in run.tags.items()))))

    def _own(self, run: RunInfo) -> dict[str, Any]:
        """Return the config's entries besides the params: the originals of the run's names that W&B does not accept."""
        project = self.project or run.experiment_name
        originals = named(project_of.originals([project] if project else []))
        cut = text_of(run.name, LONGEST_TEXT) != run.name
        return {**originals, **({"refunc/run_name": text_of(run.name)} if cut else {})}

    def _keep(self, run: RunInfo, originals: dict[str, str]) -> None:
        """Store the *originals* of respelt names in the config, by their digits."""
        fresh = self._originals.fresh(run.run_id, originals)
        if fresh:
            self._ask(self._run(run).config.update, named(fresh), allow_val_change=True)
            self._originals.note(run.run_id, fresh)

    def _ask(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the client, and turn a failure into an error for delivery."""
        try:
            return call(*args, **kwargs)
        except Exception as error:
            said = told(error, self._wandb.errors)
            if said is None:
                raise
            raise said from None
