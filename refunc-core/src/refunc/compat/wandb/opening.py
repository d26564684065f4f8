"""`wandb.init`: which run its arguments mean, and opening it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from refunc.compat.wandb import current
from refunc.compat.wandb.configs import settings_of
from refunc.compat.wandb.earlier import Earlier, run_of, runs_in
from refunc.compat.wandb.environment import Settings, is_silent, meant, settings_in
from refunc.compat.wandb.nowhere import NoTracker
from refunc.compat.wandb.problems import UsageError
from refunc.compat.wandb.runs import Run
from refunc.logging import ExperimentTracker, MLLogger
from refunc.logging.notices import warn_once
from refunc.values import settings
from refunc.values.names import new_id
from refunc.values.terminal import in_notebook

_Reinit = bool | Literal["default", "return_previous", "finish_previous", "create_new"] | None
_MOMENT: Final = re.compile(r"(.+)\?_step=(\d+)")


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Sequence[str] | None = None,
    config: Any = None,
    config_exclude_keys: Sequence[str] | None = None,
    config_include_keys: Sequence[str] | None = None,
    allow_val_change: bool | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: Literal["online", "offline", "disabled", "shared"] | None = None,
    force: bool | None = None,
    reinit: _Reinit = None,
    resume: bool | Literal["allow", "never", "must", "auto"] | None = None,
    resume_from: str | None = None,
    fork_from: str | None = None,
    save_code: bool | None = None,
    tensorboard: bool | None = None,
    sync_tensorboard: bool | None = None,
    monitor_gym: bool | None = None,
    settings: Settings | Mapping[str, Any] | None = None,
    anonymous: Any = None,
) -> Run:
    """
    Open a run, and make it the one that `log`, `config` and `summary` of this module mean.

    If one is open, it is returned, or ended first, as *reinit* says.

    Raises:
        UsageError: A run that cannot be resumed, an id that cannot be one, or a word that is not allowed.
        TypeError: A config without names.
    """
    own = settings_in(settings)
    reinit = own.get("reinit") if reinit is None else reinit
    given: dict[str, Any] = {"entity": entity, "project": project, "dir": dir, "id": id, "name": name, "notes": notes}
    given |= {"tags": tags, "group": group, "job_type": job_type, "mode": mode, "resume": resume}
    open_run = current.run if current.run is not None and current.run._is_open else None
    if open_run is not None and reinit != "create_new":
        if not _is_ended_first(reinit):
            if any(value is not None for value in (project, id, name, config)):
                said = "init: the run %s is open, and is returned. For another, call finish() first, or pass %s."
                warn_once(f"wandb-init {open_run.id}", said, open_run.path, 'reinit="finish_previous"')
            return open_run
        open_run.finish()
    facts = meant(given, own)
    facts["project"] = str(facts["project"] or "uncategorized")
    facts["allow_val_change"] = own.get("allow_val_change") if allow_val_change is None else allow_val_change
    facts["store"] = _store(facts["dir"])
    settled = _chosen(settings_of(config), config_include_keys, config_exclude_keys)
    if fork_from:
        raise UsageError("init: refunc has no forks of runs. Use resume_from, which goes on with the run itself.")
    _warn_unused(tensorboard=tensorboard or sync_tensorboard, save_code=save_code, monitor_gym=monitor_gym)
    run = _opened(facts, resume_from, is_silent(own))
    if settled:
        run.config.update(settled)
    return current.opened(run, is_global=reinit != "create_new")


def _is_ended_first(reinit: _Reinit) -> bool:
    """Whether an open run is ended by the next `init`: by default in a notebook, whose cells are run again."""
    if reinit not in (None, True, False, "default", "return_previous", "finish_previous"):
        raise UsageError(
            f"init: reinit={reinit!r} is unknown. Allowed: return_previous, finish_previous, create_new, default."
        )
    return in_notebook() if reinit in (None, "default") else reinit in (True, "finish_previous")


def _opened(facts: dict[str, Any], resume_from: str | None, silent: bool) -> Run:
    if facts["is_disabled"]:
        return Run(NoTracker(facts["id"] or new_id()), facts, Earlier())
    earlier, options = _meant_run(facts, resume_from)
    logger = MLLogger("wandb", level="WARNING") if silent else None
    try:
        tracker = ExperimentTracker(facts["project"], facts["name"], facts["store"], logger=logger, **options)
        tracker.__enter__()  # `init` knows which open run is to end, so none of the same name is ended here
    except ValueError as error:
        raise UsageError(f"init: {error}") from error
    if facts["id"] and tracker.run_id != facts["id"] and not resume_from:
        warn_once(
            f"wandb-id {facts['id']}",
            "init: run %s is complete or open elsewhere, so this run has the id %s. To go on with a run that ended, "
            'pass resume="allow".',
            facts["id"],
            tracker.run_id,
        )
    run = Run(tracker, facts, earlier)
    words = {name: facts[name] for name in ("group", "job_type", "notes") if facts[name]}
    if words or facts["tags"]:
        tracker.add_tags({**words, **dict.fromkeys(facts["tags"], "")})
    return run


def _meant_run(facts: dict[str, Any], resume_from: str | None) -> tuple[Earlier, dict[str, Any]]:
    """Return the values of an earlier attempt, and the options of ExperimentTracker for the run that is meant."""
    run_id, resume, store, step = facts["id"], facts["resume"], facts["store"], None
    if resume_from:
        moment = _MOMENT.fullmatch(resume_from)
        if moment is None:
            raise UsageError(f'init: resume_from={resume_from!r} is not a step of a run. Write "ID?_step=100".')
        run_id, resume, step = moment[1], "must", int(moment[2])
    if run_id is None:
        if resume == "must":
            raise UsageError('init: resume="must" needs the id of the run.')
        if resume == "auto":
            return _newest_unfinished(facts), {"resume": "auto"}
        return Earlier(), {}
    found = run_of(store, str(run_id))
    if found is None and resume == "must":
        raise UsageError(
            f'init: there is no run {run_id} to go on with, and resume="must". With "allow" it is a new one.'
        )
    if found is not None and resume == "never":
        raise UsageError(f'init: there is a run {run_id}, and resume="never". Give another id, or none.')
    # Without `resume`, W&B would overwrite a run of that id. Here a run that did not complete goes on.
    is_cut_off = found is not None and found.status not in ("completed", "running")
    if found is not None and (is_cut_off or resume in ("must", "allow", "auto")):
        return Earlier.of(found, step), {"resume": found.folder, "resume_step": step}
    return Earlier(), {"run_id": str(run_id)}


def _newest_unfinished(facts: Mapping[str, Any]) -> Earlier:
    """Return the values of the run that `resume="auto"` goes on with."""
    name = facts["name"]
    for run in reversed(runs_in(facts["store"])):
        is_meant = run.experiment_name == facts["project"] and name in (None, run.birth.get("run_name"))
        if is_meant and run.birth.get("imported") is None and run.status != "completed":
            return Earlier.of(run, None)
    return Earlier()


def _store(folder: str | os.PathLike[str] | None) -> Path | None:
    """Return the store: `REFUNC_DIR` comes first, since *folder* was given for W&B's own files."""
    return None if folder is None or settings.DIR.text() else Path(folder) / "experiments"


def _chosen(config: dict[str, Any], included: Any, excluded: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in config.items()
        if (not included or name in included) and name not in (excluded or ())
    }


def _warn_unused(**asked: Any) -> None:
    for name, value in asked.items():
        if value:
            warn_once(f"wandb-unused {name}", "init: %s has no meaning here, and records nothing.", name)
