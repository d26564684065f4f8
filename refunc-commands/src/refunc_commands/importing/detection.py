"""Detecting the tracker of a path by its contents, and finding its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    if _is_mlflow(files, path):  # its runs may keep files of any tracker among their artifacts
        return ["mlflow"]
    homes = [file.parent for file in wandb.find_runs(files, path, problems)]
    found = {
        "mlflow": bool(_mlflow_in(path)),
        "wandb": bool(homes),
        "tensorboard": _is_apart(tensorboard.find_runs(files, path, problems), homes),
        "lightning": _is_apart(lightning.find_runs(files, path, problems), homes),
    }
    return [name for name in TRACKERS if found[name]]


def _is_apart(runs: Iterable[Path], homes: Sequence[Path]) -> bool:
    """Whether any of *runs* is not among the files of a run of W&B, which keeps event files there."""
    return any(not any(run.is_relative_to(home) for home in homes) for run in runs)


def _mlflow_in(path: Path) -> list[Path]:
    """Return the sources of MLflow that are directly in the folder *path*."""
    children = sorted(path.iterdir()) if path.is_dir() else []
    return [child for child in children if _is_mlflow(SourceFiles(child), child)]


def tracker_of(path: Path) -> str:
    """
    Return the only tracker whose files are at *path*.

    Raises:
        SourceError: There are files of no known tracker, or of several.
        OSError: The path does not exist or cannot be read.
    """
    path.stat()
    trackers = trackers_of(path)
    if len(trackers) != 1 or (trackers == ["mlflow"] and not _is_mlflow(SourceFiles(path), path)):
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
                sessions=[folders[inside] for inside in sessions.get(folder, ())],
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
    inside = [str(child) for child in _mlflow_in(path)[:3]]
    others = [tracker for tracker in trackers if tracker != "mlflow"]
    if others:
        several = f"{path} has files of {' and '.join(trackers)}. Choose one with --from"
        return f"{several}; those of mlflow are {' and '.join(inside)}." if inside else f"{several}."
    if mlflow_files.is_run(SourceFiles(path), path):
        return f"{path} is one run of MLflow. Import the folder of its experiment, {path.absolute().parent}."
    hint = f" Did you mean {' and '.join(inside)}?" if inside else ""
    return (
        f"{path} has no runs to import: no database of MLflow, no mlruns folder, no run of W&B, no event file of "
        f"TensorBoard, no metrics.csv of Lightning.{hint}"
    )


def _is_mlflow(files: SourceFiles, path: Path) -> bool:
    if path.is_file():
        return mlflow_sql.is_mlflow_database(files, path)
    return mlflow_files.is_mlruns(files, path)
