"""The run that the functions of this module mean, and these functions."""

from __future__ import annotations

import atexit
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from refunc.compat.wandb.problems import Error
from refunc.logging.notices import own_log, warn_once

if TYPE_CHECKING:
    from refunc.compat.wandb.runs import Run

#: The run of the last `init`; None before it, and once it has ended.
run: Run | None = None
_open: WeakSet[Run] = WeakSet()


def opened(new: Run, *, is_global: bool) -> Run:
    """Note that a run was opened."""
    global run
    _settle_at_exit()
    _open.add(new)
    if is_global:
        run = new
    return new


def ended(old: Run) -> None:
    """Note that a run has ended."""
    global run
    _open.discard(old)
    if run is old:
        run = None


@cache
def _settle_at_exit() -> None:
    atexit.register(_settle)


def _settle() -> None:
    """Write the records that wait for a run's end. refunc ends the runs after this, with the script's own outcome."""
    for each in list(_open):
        each._settle()


def needed(call: str) -> Run:
    """Return the current run. Raises Error if there is none."""
    if run is None:
        raise Error(f"wandb.{call}: no run is open. Call wandb.init() first.")
    return run


class NotYet:
    """`config` and `summary` before `init`: each use says that no run is open."""

    def __init__(self, name: str) -> None:
        vars(self)["_name"] = name

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):  # asked by inspectors
            raise AttributeError(key)
        return needed(f"{vars(self)['_name']}.{key}")

    def __setattr__(self, key: str, value: Any) -> None:
        needed(f"{vars(self)['_name']}.{key}")

    def __getitem__(self, key: str) -> Any:
        return needed(f"{vars(self)['_name']}[{key!r}]")

    def __setitem__(self, key: str, value: Any) -> None:
        needed(f"{vars(self)['_name']}[{key!r}]")

    def __repr__(self) -> str:
        return f"<wandb.{vars(self)['_name']}, before init()>"


def log(data: Any, step: int | None = None, commit: bool | None = None) -> None:
    """Record numbers, texts and files at a step; see `Run.log`."""
    needed("log").log(data, step, commit)


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """End the run, if one is open."""
    if run is not None:
        run.finish(exit_code)


def teardown(exit_code: int | None = None) -> None:
    """End the run, if one is open; the same as `finish`."""
    finish(exit_code)


def define_metric(name: str, *args: Any, **options: Any) -> Any:
    """Define how a metric is read; see `Run.define_metric`."""
    return needed("define_metric").define_metric(name, *args, **options)


def alert(title: str, text: str, level: Any = None, wait_duration: Any = None) -> None:
    """Log a line at a level; see `Run.alert`."""
    needed("alert").alert(title, text, level, wait_duration)


def save(glob_str: Any, base_path: Any = None, policy: str = "live", glob: bool = True) -> list[str]:
    """Keep the files that a pattern matches; see `Run.save`."""
    return needed("save").save(glob_str, base_path, policy)


def log_artifact(artifact_or_path: Any, name: str | None = None, type: str | None = None, **options: Any) -> Any:
    """Keep an artifact; see `Run.log_artifact`."""
    return needed("log_artifact").log_artifact(artifact_or_path, name, type, **options)


def use_artifact(artifact_or_name: Any, type: str | None = None, **options: Any) -> Any:
    """Return an artifact of the store; see `Run.use_artifact`."""
    return needed("use_artifact").use_artifact(artifact_or_name, type, **options)


def log_model(path: Any, name: str | None = None, aliases: Any = None) -> Any:
    """Keep a model; see `Run.log_model`."""
    return needed("log_model").log_model(path, name, aliases)


def use_model(name: str) -> str:
    """Return the path of a model's files; see `Run.use_model`."""
    return needed("use_model").use_model(name)


def watch(models: Any = None, *args: Any, **options: Any) -> None:
    """Do nothing; one warning says so."""
    needed("watch").watch(models)


def unwatch(models: Any = None) -> None:
    """Do nothing."""


def mark_preempting() -> None:
    """Say that the run is about to be stopped; see `Run.mark_preempting`."""
    needed("mark_preempting").mark_preempting()


def login(key: str | None = None, *args: Any, **options: Any) -> bool:
    """Do nothing, and return True: there is no account."""
    return True


def setup(settings: Any = None) -> None:
    """Do nothing: there is nothing to start."""


def require(requirement: Any = None, experiment: Any = None) -> None:
    """Do nothing: it chooses between versions of W&B's client."""


def termlog(string: str = "", newline: bool = True, repeat: bool = True, **unused: Any) -> None:
    """Log a line of refunc's own."""
    own_log.info("%s", string)


def termwarn(string: str, newline: bool = True, repeat: bool = True) -> None:
    """Log a warning; with `repeat=False`, once."""
    if repeat:
        own_log.warning("%s", string)
    else:
        warn_once(f"wandb-termwarn {string}", "%s", string)


def termerror(string: str, newline: bool = True, repeat: bool = True) -> None:
    """Log an error."""
    own_log.error("%s", string)
