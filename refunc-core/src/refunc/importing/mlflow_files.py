"""MLflow's file store, a folder `mlruns`: in it a folder an experiment, in that one a run, a file a param or metric."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from refunc.importing import mlflow
from refunc.importing.source import Problems, SourceRun
from refunc.importing.yaml_files import read_yaml
from refunc.journal import record as records

_META = "meta.yaml"
_TRASH = ".trash"


def is_mlruns(path: Path) -> bool:
    """Whether *path* is a folder as MLflow's file store is: with experiments, each with its `meta.yaml`."""
    return path.is_dir() and any((folder / _META).is_file() for folder in _folders(path))


def read_mlruns(path: Path, *, deleted: bool) -> tuple[list[SourceRun], int, Problems]:
    """
    Return the runs under *path*, how many deleted ones were left out, and which folders cannot be read.

    Raises:
        SourceError: PyYAML is missing.
        OSError: The folder cannot be listed.
    """
    problems = Problems()
    runs: list[SourceRun] = []
    left = 0
    for home in (path, path / _TRASH):
        for experiment in _folders(home):
            meta = _meta(experiment, problems)
            if meta is None:
                continue
            for folder in _folders(experiment):
                facts = _meta(folder, problems)
                if facts is None or ("run_id" not in facts and "run_uuid" not in facts):
                    continue
                gone = "deleted" in (facts.get("lifecycle_stage"), meta.get("lifecycle_stage")) or home != path
                if gone and not deleted:
                    left += 1
                else:
                    runs.append(_run(folder, str(meta.get("name") or experiment.name), facts))
    runs.sort(key=lambda run: (run.start_time, run.id))
    return runs, left, problems


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []


def _meta(folder: Path, problems: Problems) -> dict[str, Any] | None:
    if not (folder / _META).is_file():
        return None
    try:
        return read_yaml(folder / _META)
    except (OSError, ValueError) as error:
        problems.add(f"{folder.name}/{_META} cannot be read, and what is below it: {error}")
        return None


def _run(folder: Path, experiment: str, meta: dict[str, Any]) -> SourceRun:
    tags = dict(_texts(folder / "tags"))
    start = _milliseconds(meta.get("start_time"))
    end = _milliseconds(meta.get("end_time"))

    def contents(problems: Problems) -> Iterator[records.Record]:
        if tags:
            yield records.Tags(tags=tags, time=start)
        params = {name: mlflow.param(text) for name, text in _texts(folder / "params")}
        if params:
            yield records.Params(params=params, time=start)
        last = start
        for record in _metrics(folder / "metrics", problems):
            last = max(last, record.time)
            yield record
        # Beside `meta.yaml` first: what that says is where the folder was before it was moved.
        yield from mlflow.artifacts(
            "" if (folder / "artifacts").is_dir() else str(meta.get("artifact_uri") or ""),
            [folder / "artifacts"],
            last,
            problems,
        )

    return SourceRun(
        tracker=mlflow.TRACKER,
        id=str(meta.get("run_id") or meta.get("run_uuid")),
        experiment=experiment,
        name=str(meta.get("run_name") or tags.get(mlflow.NAME_TAG) or "") or None,
        start_time=start,
        end_time=end or None,
        status=mlflow.STATUSES.get(str(meta.get("status"))),
        parent=tags.get(mlflow.PARENT_TAG),
        script=tags.get(mlflow.SOURCE_TAG) or None,
        place=folder,
        records=contents,
    )


def _milliseconds(value: Any) -> float:
    return value / 1_000 if isinstance(value, (int, float)) else 0.0


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each file below *folder* as name and text: a name may have slashes, which made folders."""
    if folder.is_dir():
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                text = path.read_text("utf-8", "backslashreplace")
                yield path.relative_to(folder).as_posix(), text.removesuffix("\n")


def _metrics(folder: Path, problems: Problems) -> Iterator[records.Metrics]:
    """Return all points, those of one moment and step in one record: by time, then step, then as they stand."""
    points: list[tuple[int, int, str, float]] = []
    for name, text in _texts(folder):
        for line in filter(None, text.split("\n")):
            try:
                timestamp, value, step = [*line.split(" "), "0"][:3]  # the oldest files have no steps
                points.append((int(timestamp), int(step), name, float(value)))
            except ValueError:
                problems.add("a line of a metric is damaged")
    points.sort(key=lambda point: point[:2])
    return mlflow.grouped(points)
