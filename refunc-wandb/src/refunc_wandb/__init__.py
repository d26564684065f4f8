"""
The refunc plugin for Weights & Biases: one W&B run for each refunc run, with the same id.

W&B's own step may never go back: a row with a smaller one is dropped. So it counts rows in the order of the journal,
and the user's step is a column that every metric is drawn over (`define_metric`). Each row says which record it is, in
`refunc/record`; online, delivery that begins anew asks the server for the last of each writer, and sends what follows;
offline it writes a further folder, whose rows have higher numbers, so that `wandb sync` of both drops none.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

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
)
from refunc.plugins.options import check_url
from refunc_wandb.rows import PLACE, artifact_name, config_of, places_in, row_of, tag_of

__all__ = ["WandBIntegration"]

#: Seconds that starting and finishing a W&B run may take before delivery decides what to do instead. The client's own
#: default for finishing is for ever.
INIT_TIMEOUT, FINISH_TIMEOUT = 15.0, 10.0
#: Seconds in which nobody logs a row: the client takes three times as long.
ROW_SECONDS = 1e-4


class WandBIntegration(Integration):
    """
    Deliver params, metrics, tags, results, artifacts and the exit code of a run to W&B.

    Never asks anything: without a key it works offline, and `wandb sync` sends what it wrote. `WANDB_*` variables count
    where no option is given.
    """

    project: str | None = option(default=None, env="WANDB_PROJECT", help="By default the run's experiment.")
    entity: str | None = option(default=None, env="WANDB_ENTITY", help="User or team.")
    config: dict[str, Any] = option(default={}, help="Config beside the run's params.")
    mode: Literal["online", "offline", "disabled"] | None = option(
        default=None, env="WANDB_MODE", help="By default online with a key, offline without."
    )
    tags: list[str] = option(default=[], env="WANDB_TAGS", help="Tags beside the run's own.")
    notes: str | None = option(default=None, env="WANDB_NOTES", help="Notes on the run.")
    group: str | None = option(default=None, env="WANDB_RUN_GROUP", help="The group of the run.")
    dir: str | None = option(default=None, env="WANDB_DIR", help="Where W&B keeps its files; by default in the run.")
    base_url: str | None = option(default=None, env="WANDB_BASE_URL", help="A server of your own.")
    api_key: str | None = option(default=None, env="WANDB_API_KEY", secret=True, help="By default a stored login's.")

    def check(self) -> None:
        """Refuse a malformed address."""
        if self.base_url is not None:
            check_url("wandb", "base_url", self.base_url, ("http", "https"))

    @property
    def target(self) -> str:
        """The project, and whether it is written to a server or to files."""
        place = "/".join(filter(None, (self.entity, self.project)))
        return " ".join(filter(None, ("wandb", place, f"({self._mode()})")))

    def _mode(self) -> str:
        return self.mode or ("online" if self.api_key or _has_login(self.base_url) else "offline")

    def open(self) -> None:
        """Import the client."""
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        self._wandb: Any = wandb
        self._runs: dict[str, Any] = {}
        #: By run and writer: the number of the last record that W&B has.
        self._sent: dict[tuple[str, str], int] = {}
        #: By run: W&B's own numbers of the next rows; None leaves the counting to W&B.
        self._steps: dict[str, Iterator[int | None]] = {}

    def close(self) -> None:
        """Finish what is open, within its bound."""
        for run_id in list(getattr(self, "_runs", {})):
            self._runs.pop(run_id).finish()

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        """Start the W&B run, or go on with it."""
        self._run(run)

    @hookimpl
    def on_hyperparams(self, run: RunInfo, record: Params) -> None:
        """Put params into the config; a later value of a name wins."""
        self._ask(self._run(run).config.update, config_of(record.params), allow_val_change=True)

    @hookimpl
    def on_tags(self, run: RunInfo, record: Tags) -> None:
        """Tag the run `name:value`, and put the whole tags into the config, for W&B cuts none but refuses long ones."""
        ours = self._run(run)
        ours.tags = tuple(dict.fromkeys((*self.tags, *(tag_of(name, value) for name, value in run.tags.items()))))
        self._ask(ours.config.update, {"tags": dict(run.tags)}, allow_val_change=True)

    @hookimpl
    def on_metrics(self, run: RunInfo, records: Sequence[Metrics]) -> None:
        """Log a row for each record, in the order of the journal."""
        ours = self._run(run)
        for record in records:
            key = (run.run_id, record.writer)
            if record.seq > self._sent.get(key, -1):
                self._ask(ours.log, row_of(record), step=next(self._steps[run.run_id]), commit=True)
                self._sent[key] = record.seq
        for writer in {record.writer for record in records}:
            ours.summary[f"{PLACE}/{writer}"] = self._sent[run.run_id, writer]

    @hookimpl
    def on_log(self, run: RunInfo, records: Sequence[LogLine]) -> None:
        """Put results into the summary. Other lines stay in the journal."""
        for line in records:
            if line.level == "RESULT":
                self._ask(self._run(run).summary.update, {**line.other, **line.metrics})

    @hookimpl
    def on_artifact(self, run: RunInfo, record: Artifact) -> None:
        """Upload a file or folder; the same content again is the same version."""
        files = run.files_of(record)
        if not files:
            return
        artifact = self._wandb.Artifact(
            artifact_name(run, record), type=record.type or "artifact", metadata=dict(record.metadata)
        )
        for file in files:
            artifact.add_file(str(file.source), name=file.path)
        self._ask(self._run(run).log_artifact, artifact)

    @hookimpl
    def on_run_end(self, run: RunInfo, record: RunEnd) -> None:
        """Finish the run: exit code 0 if it completed. What a child logs later opens it again."""
        ours = self._run(run)
        self._ask(ours.summary.update, {**record.metrics, "refunc/status": record.status})
        if record.error:
            ours.summary["refunc/error"] = record.error[-4_000:]
        exit_code = 1 if record.status in ("failed", "interrupted", "crashed") else 0
        self._ask(ours.finish, exit_code=exit_code)
        self._runs.pop(run.run_id, None)

    def _run(self, run: RunInfo) -> Any:
        """Return the W&B run, which is started once in a process."""
        if run.run_id not in self._runs:
            earlier = _offline_folders(self._dir(run), run.run_id)
            ours = self._runs[run.run_id] = self._ask(self._start, run)
            # Offline nobody can be asked how many rows an earlier delivery wrote; there was no time for so many.
            first = int((time.time() - run.start_time) / ROW_SECONDS)
            self._steps[run.run_id] = itertools.count(first) if earlier else itertools.repeat(None)
            for writer, seq in places_in(dict(ours.summary)):
                self._sent[run.run_id, writer] = max(seq, self._sent.get((run.run_id, writer), -1))
            ours.define_metric("refunc/step", hidden=True)
            ours.define_metric("*", step_metric="refunc/step")
        return self._runs[run.run_id]

    def _dir(self, run: RunInfo) -> str:
        return self.dir or str(run.folder)

    def _start(self, run: RunInfo) -> Any:
        given = {"api_key": self.api_key, "base_url": self.base_url}
        settings = self._wandb.Settings(
            **{name: value for name, value in given.items() if value is not None},
            console="off",
            disable_git=True,
            finish_timeout=FINISH_TIMEOUT,
            init_timeout=INIT_TIMEOUT,
            save_code=False,
            silent=True,
            x_disable_stats=True,
        )
        return self._wandb.init(
            id=run.run_id,
            name=run.name,
            project=self.project or run.experiment_name or None,
            entity=self.entity,
            group=self.group,
            notes=self.notes,
            config={**config_of(self.config), **config_of(run.params)},
            tags=[*self.tags, *(tag_of(name, value) for name, value in run.tags.items())],
            dir=self._dir(run),
            mode=self._mode(),
            resume="allow" if self._mode() == "online" else None,
            reinit="create_new",
            settings=settings,
        )

    def _ask(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the client, and say of a failure what is to become of the records."""
        try:
            return call(*args, **kwargs)
        except self._wandb.errors.AuthenticationError as error:
            raise Pause(f"{error}. Set WANDB_API_KEY.") from None
        except self._wandb.errors.CommError as error:
            if re.search(r"\b40[13]\b", str(error)):  # by itself: a port may begin with these digits
                raise Pause(f"{error}. Set WANDB_API_KEY.") from None
            raise Retry(str(error)) from None
        except self._wandb.errors.UsageError as error:
            raise Reject(str(error)) from None
        except self._wandb.errors.Error as error:
            raise Retry(str(error)) from None


def _offline_folders(folder: str, run_id: str) -> list[Path]:
    """Return what offline deliveries of the run left for `wandb sync`."""
    return list(Path(folder, "wandb").glob(f"offline-run-*-{run_id}"))


def _has_login(base_url: str | None) -> bool:
    """Whether `wandb login` stored a key for the server, where it stores one: in the netrc file."""
    import netrc

    host = urlsplit(base_url or "https://api.wandb.ai").hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
