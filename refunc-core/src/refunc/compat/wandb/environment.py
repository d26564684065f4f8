"""The options that `init` takes from its settings and from W&B's environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from refunc.compat.wandb.problems import UsageError

#: The arguments of `init` with a setting and a variable: the argument comes first, then the setting, then the variable.
SOURCES: Final = {
    "project": ("project", "WANDB_PROJECT"),
    "name": ("run_name", "WANDB_NAME"),
    "id": ("run_id", "WANDB_RUN_ID"),
    "entity": ("entity", "WANDB_ENTITY"),
    "group": ("run_group", "WANDB_RUN_GROUP"),
    "job_type": ("run_job_type", "WANDB_JOB_TYPE"),
    "notes": ("run_notes", "WANDB_NOTES"),
    "tags": ("run_tags", "WANDB_TAGS"),
    "dir": ("root_dir", "WANDB_DIR"),
    "mode": ("mode", "WANDB_MODE"),
    "resume": ("resume", "WANDB_RESUME"),
}
#: Other variables that have a meaning here.
OTHERS: Final = ("WANDB_ARTIFACT_DIR", "WANDB_DATA_DIR", "WANDB_DISABLED", "WANDB_QUIET", "WANDB_SILENT")

_DISABLED, _MODES = "disabled", ("online", "offline", "shared", "dryrun", "run", "disabled")
_RESUMES: Final = ("allow", "must", "never", "auto")


class Settings:
    """
    Settings for `init`, by name as in W&B.

    Those of `init`'s own arguments have a meaning (`project`, `run_id`, `run_name`, `mode`, ...), and `silent`,
    `quiet`, `allow_val_change` and `reinit`. All others are kept, and change nothing.
    """

    def __init__(self, **settings: Any) -> None:
        vars(self).update(settings)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


def settings_in(settings: Settings | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings that have a value, by name."""
    given = vars(settings) if isinstance(settings, Settings) else dict(settings or {})
    return {name: value for name, value in given.items() if value is not None}


def meant(arguments: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the *arguments* of `init`, completed from *settings* and from the environment, and checked.

    Raises:
        UsageError: A mode, or a way to resume, that does not exist.
    """
    found = dict(arguments)
    for name, (setting, variable) in SOURCES.items():
        if found[name] is None:
            found[name] = settings.get(setting, os.environ.get(variable) or None)
    mode, resume = found["mode"], found["resume"]
    if mode is not None and mode not in _MODES:
        raise UsageError(f"init: mode={mode!r} is unknown. Allowed: online, offline, disabled.")
    found["is_disabled"] = mode == _DISABLED or (mode is None and is_on("WANDB_DISABLED"))
    if resume is True or (isinstance(resume, str) and resume.lower() == "true"):
        found["resume"] = resume = "auto"
    if resume is not None and resume is not False and resume not in _RESUMES:
        raise UsageError(f"init: resume={resume!r} is unknown. Allowed: {', '.join(_RESUMES)}.")
    found["tags"] = _tags(found["tags"])
    return found


def _tags(tags: Any) -> tuple[str, ...]:
    given = tags.split(",") if isinstance(tags, str) else list(tags or ())
    return tuple(dict.fromkeys(text for tag in given if (text := str(tag).strip())))


def is_silent(settings: Mapping[str, Any]) -> bool:
    """Whether the run's lines are not shown on the console."""
    chosen = [settings[name] for name in ("silent", "quiet") if name in settings]
    return any(map(bool, chosen)) if chosen else is_on("WANDB_SILENT") or is_on("WANDB_QUIET")


def is_on(variable: str) -> bool:
    """Whether a variable is set to anything but a word for no."""
    return os.environ.get(variable, "").strip().lower() not in ("", "0", "false", "off", "no")
