"""Detecting the tracker of a path by its contents, and finding its runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import attrs

from refunc_commands.importing import lightning, mlflow_files, mlflow_sql, tensorboard, tensorboard_sessions, wandb
from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.problems import Problems, SourceError, attempted
from refunc_commands.importing.source import SourceRun

TRACKERS = ("mlflow", "wandb", "tensorboard", "lightning")


@attrs.define
class Found:
    """The runs at one path. `deleted` counts the runs that are deleted in their tracker and were left out."""

    runs: list[SourceRun] = attrs.Factory(list)
    deleted: int = 0
    problems: Problems = attrs.Factory(Problems)


def trackers_of(path: Path) -> list[str]:
    """Return the trackers whose files are at *path*."""
    files, problems = SourceFiles(path), Problems()
    found = {
        "mlflow": _is_mlflow(files, path),
        "wandb": bool(wandb.find_runs(files, path, problems)),
        "tensorboard": bool(tensorboard.find_runs(files, path, problems)),
        "lightning": bool(lightning.find_runs(files, path, problems)),
    }
    return [name for name in TRACKERS if found[name]]


def tracker_of(path: Path) -> str:
    """
    Return the only tracker whose files are at *path*.

    Raises:
        SourceError: There are files of no known tracker, or of several.
        OSError: The path does not exist or cannot be read.
    """
    path.stat()
    trackers = trackers_of(path)
    # An MLflow run may keep event files among its artifacts, and so may a run of W&B.
    for whole in ("mlflow", "wandb"):
        if whole in trackers:
            trackers = [whole]
    if len(trackers) != 1:
        raise SourceError(_undecided(path, trackers))
    return trackers[0]


def find(path: Path, tracker: str, *, deleted: bool = False) -> Found:
    """
    Return the runs of *tracker* at *path*; unreadable parts are among the problems.

    Args:
        deleted: Include runs that were deleted in their tracker but still exist.

    Raises:
        SourceError: It cannot be read at all.
        OSError: The same.
    """
    found = Found()
    path = path.absolute()
    files, problems = SourceFiles(path), found.problems
    if tracker == "mlflow" and path.is_file():
        found.runs, found.deleted = mlflow_sql.read_database(files, path, problems, deleted=deleted)
    elif tracker == "mlflow":
        found.runs, found.deleted = mlflow_files.read_mlruns(files, path, problems, deleted=deleted)
    elif tracker == "wandb":
        paths = wandb.find_runs(files, path, problems)
        _add_each(found, {each: partial(wandb.read_run, files, each) for each in paths})
    elif tracker == "tensorboard":
        folders = tensorboard.find_runs(files, path, problems)
        sessions = tensorboard_sessions.sessions_in(files, folders)
        parts = {folder for inside in sessions.values() for folder in inside}
        readers = {
            folder: partial(
                tensorboard.read_run,
                *(files, path, folder, events),
                sessions=[file for inside in sessions.get(folder, ()) for file in folders[inside]],
            )
            for folder, events in folders.items()
            if folder not in parts
        }
        _add_each(found, readers)
    else:
        paths = lightning.find_runs(files, path, problems)
        _add_each(found, {each: partial(lightning.read_run, files, each) for each in paths})
    return found


def _add_each(found: Found, readers: Mapping[Path, Callable[[], SourceRun]]) -> None:
    """Add the runs of *readers*; a reader that fails only loses its own run."""
    for path, read in readers.items():
        run = attempted(read, partial(found.problems.leave_out, path))
        found.runs += [run] if run is not None else []


def _undecided(path: Path, trackers: list[str]) -> str:
    if trackers:
        return f"{path} has files of {' and '.join(trackers)}. Choose one with --from."
    children = sorted(path.iterdir()) if path.is_dir() else []
    near = [str(child) for child in children if _is_mlflow(SourceFiles(child), child)]
    hint = f" Did you mean {' and '.join(near[:3])}?" if near else ""
    return (
        f"{path} has no runs to import: no database of MLflow, no mlruns folder, no run of W&B, no event file of "
        f"TensorBoard, no metrics.csv of Lightning.{hint}"
    )


def _is_mlflow(files: SourceFiles, path: Path) -> bool:
    if path.is_file():
        return mlflow_sql.is_mlflow_database(files, path)
    return mlflow_files.is_mlruns(files, path)
