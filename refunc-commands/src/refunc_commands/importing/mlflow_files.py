"""MLflow's file store `mlruns`: a folder per experiment, in it one per run, with a file per param or metric."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from refunc.journal import record as records
from refunc_commands.importing import mlflow
from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.problems import Problems, SourceError, attempted
from refunc_commands.importing.source import SourceRun
from refunc_commands.importing.yaml_files import read_yaml

_META = "meta.yaml"
_TRASH = ".trash"
#: MLflow accepts params of 6,000 characters.
_LONGEST_TEXT = 1 << 20
_LONGEST_LINE = 1_000


def is_mlruns(files: SourceFiles, path: Path) -> bool:
    """Whether *path* is a file store of MLflow: a folder of experiments, each with a `meta.yaml`, or one of these."""
    return any(files.is_file(folder / _META) for folder in files.folders(path))


def is_run(files: SourceFiles, path: Path) -> bool:
    """Whether *path* is the folder of a run of MLflow."""
    return path.is_dir() and _is_run(_meta(files, path, Problems()))


def _is_run(meta: dict[str, Any] | None) -> bool:
    return meta is not None and ("run_id" in meta or "run_uuid" in meta)


def read_mlruns(files: SourceFiles, path: Path, problems: Problems, *, deleted: bool) -> tuple[list[SourceRun], int]:
    """
    Return the runs under *path*, and how many deleted ones were left out.

    Args:
        problems: Collects the parts that cannot be read, and the runs that were left out because of them.
    """
    runs: list[SourceRun] = []
    left = 0
    experiments = [(experiment, False) for experiment in files.folders(path, problems)]
    experiments += [(experiment, True) for experiment in files.folders(path / _TRASH, problems)]
    if files.is_file(path / _META):
        experiments = [(path, False)]
    for experiment, in_trash in experiments:
        meta = _meta(files, experiment, problems)
        if meta is None:
            continue
        for folder in files.folders(experiment, problems):
            facts = _meta(files, folder, problems)
            if facts is None or not _is_run(facts):
                continue
            gone = "deleted" in (facts.get("lifecycle_stage"), meta.get("lifecycle_stage")) or in_trash
            if gone and not deleted:
                left += 1
                continue
            name = meta.get("name") or experiment.name
            run = attempted(partial(_run, files, folder, name, facts), partial(problems.leave_out, folder.name))
            runs += [run] if run is not None else []
    runs.sort(key=lambda run: (run.start_time, run.id))
    return runs, left


def _meta(files: SourceFiles, folder: Path, problems: Problems) -> dict[str, Any] | None:
    path = folder / _META
    if not path.exists() and not path.is_symlink():
        return None
    return attempted(
        partial(read_yaml, files, path),
        lambda reason: problems.leave_out(folder.name, f"its {_META} cannot be read: {reason}"),
    )


def _run(files: SourceFiles, folder: Path, experiment: Any, meta: dict[str, Any]) -> SourceRun:
    found = Problems()
    tags = dict(_texts(files, folder / "tags", found))
    start = _seconds(meta.get("start_time"))
    run_id = meta.get("run_id") or meta.get("run_uuid")
    return SourceRun(
        tracker=mlflow.TRACKER,
        id=run_id,
        experiment=experiment,
        name=meta.get("run_name") or tags.get(mlflow.NAME_TAG) or None,
        start_time=start,
        end_time=_seconds(meta.get("end_time")) or None,
        status=mlflow.status_of(meta.get("status"), tags),
        parent=tags.get(mlflow.PARENT_TAG),
        script=tags.get(mlflow.SOURCE_TAG) or None,
        path=folder,
        files=files,
        records=partial(_contents, files, folder, meta, tags, found, start),
    )


def _contents(
    files: SourceFiles,
    folder: Path,
    meta: dict[str, Any],
    tags: dict[str, str],
    found: Problems,
    start: float,
    problems: Problems,
) -> Iterator[records.Record]:
    problems.take(found)
    if tags:
        yield records.Tags(tags=tags, time=start)
    params = {name: mlflow.param(text) for name, text in _texts(files, folder / "params", problems)}
    if params:
        yield records.Params(params=params, time=start)
    last = start
    for record in _metrics(files, folder / "metrics", problems):
        last = max(last, record.time)
        yield record
    # The folder next to `meta.yaml` comes first: the file has the path before the folder was moved.
    uri = meta.get("artifact_uri")
    yield from mlflow.artifacts(files, uri if isinstance(uri, str) else "", [folder / "artifacts"], last, problems)


def _seconds(value: Any) -> Any:
    """Return milliseconds as seconds, 0 for None; other values are returned unchanged."""
    if value is None:
        return 0.0
    # A number that does not fit in a float is not a time either: dividing it raises.
    return value / 1_000 if isinstance(value, (int, float)) and abs(value) < mlflow.LATEST else value


def _named(files: SourceFiles, folder: Path, problems: Problems) -> list[tuple[str, Path]]:
    """Return each file below *folder* by its name in MLflow, in which slashes have become folders."""
    return [(path.relative_to(folder).as_posix(), path) for path in sorted(files.walk(folder, problems))]


def _texts(files: SourceFiles, folder: Path, problems: Problems) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each param or tag in *folder*."""
    for name, path in _named(files, folder, problems):
        data = attempted(partial(files.read, path, _LONGEST_TEXT), partial(problems.leave_out, f"{folder.name}/{name}"))
        if data is not None:
            yield name, _text(data)


def _text(data: bytes) -> str:
    text = data.decode("utf-8", "backslashreplace")
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")  # as `open` reads lines


def _metrics(files: SourceFiles, folder: Path, problems: Problems) -> Iterator[records.Metrics]:
    """Return all points, sorted by time and step; those of one time and step are in one record."""
    points: list[tuple[int, int, str, float]] = []
    for name, path in _named(files, folder, problems):
        attempted(
            partial(_add_points, files, path, name, points, problems),
            partial(problems.leave_out, f"{folder.name}/{name}, or the rest of it,"),
        )
    points.sort(key=lambda point: point[:2])
    return mlflow.grouped(points)


def _add_points(
    files: SourceFiles, path: Path, name: str, points: list[tuple[int, int, str, float]], problems: Problems
) -> None:
    with files.open(path) as file:
        while line := file.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise SourceError(f"a line has more than {_LONGEST_LINE:,} characters")
            text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            if not text:
                continue
            try:
                timestamp, value, step = [*text.split(" "), "0"][:3]  # the oldest files have no steps
                points.append((mlflow.checked_time(int(timestamp)), int(step), name, float(value)))
            except ValueError:
                problems.add("a line of a metric is damaged")
