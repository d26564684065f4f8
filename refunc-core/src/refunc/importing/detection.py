"""Which tracker a path is from, told from what is in it; and its runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs

from refunc.importing import lightning, mlflow_files, mlflow_sql, tensorboard, wandb
from refunc.importing.source import Problems, SourceError, SourceRun

TRACKERS = ("mlflow", "wandb", "tensorboard", "lightning")


@attrs.define
class Found:
    """The runs at one path. `deleted` counts those that their tracker has in its bin, and that were left there."""

    runs: list[SourceRun] = attrs.Factory(list)
    deleted: int = 0
    problems: Problems = attrs.Factory(Problems)


def trackers_of(path: Path) -> list[str]:
    """Return the trackers whose files are at *path*."""
    found = {
        "mlflow": _is_mlflow(path),
        "wandb": bool(wandb.find_runs(path)),
        "tensorboard": bool(tensorboard.find_runs(path)),
        "lightning": bool(lightning.find_runs(path)),
    }
    return [name for name in TRACKERS if found[name]]


def find(path: Path, tracker: str | None = None, *, deleted: bool = False) -> Found:
    """
    Return the runs at *path*, of *tracker* or of the only one whose files are there.

    Args:
        deleted: Take also runs that were deleted in their tracker, and are still there.

    Raises:
        SourceError: There is nothing of a known tracker, or of several; or it cannot be read.
        OSError: The same.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder.")
    if tracker is None:
        trackers = trackers_of(path)
        # An MLflow run may keep event files among its artifacts, and so may a run of W&B.
        for whole in ("mlflow", "wandb"):
            if whole in trackers:
                trackers = [whole]
        if len(trackers) != 1:
            raise SourceError(_undecided(path, trackers))
        (tracker,) = trackers
    found = Found()
    path = path.absolute()
    if tracker == "mlflow" and path.is_file():
        found.runs, found.deleted = mlflow_sql.read_database(path, deleted=deleted)
    elif tracker == "mlflow":
        found.runs, found.deleted, found.problems = mlflow_files.read_mlruns(path, deleted=deleted)
    elif tracker == "wandb":
        _add_each(found, {file: partial(wandb.read_run, file) for file in wandb.find_runs(path)})
    elif tracker == "tensorboard":
        folders = tensorboard.find_runs(path)
        _add_each(
            found, {folder: partial(tensorboard.read_run, path, folder, files) for folder, files in folders.items()}
        )
    else:
        _add_each(found, {file: partial(lightning.read_run, file) for file in lightning.find_runs(path)})
    return found


def _add_each(found: Found, readers: dict[Path, Callable[[], SourceRun]]) -> None:
    """Add what each of *readers* gives; one that cannot read its place is a problem, and the others go on."""
    for place, read in readers.items():
        try:
            found.runs.append(read())
        except (SourceError, OSError) as error:
            found.problems.add(f"{place} was left out: {error}")


def _undecided(path: Path, trackers: list[str]) -> str:
    if trackers:
        return f"{path} has files of {' and '.join(trackers)}. Say which with --from."
    near = [str(child) for child in sorted(path.iterdir()) if _is_mlflow(child)] if path.is_dir() else []
    hint = f" Did you mean {' and '.join(near[:3])}?" if near else ""
    return (
        f"{path} has nothing to import: no database of MLflow, no mlruns folder, no run of W&B, no event file of "
        f"TensorBoard, no metrics.csv of Lightning.{hint}"
    )


def _is_mlflow(path: Path) -> bool:
    return mlflow_sql.is_mlflow_database(path) if path.is_file() else mlflow_files.is_mlruns(path)
