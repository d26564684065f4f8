"""What a report shows of its runs, as plain JSON of a bounded size."""

from __future__ import annotations

import base64
import json
import math
import time
from pathlib import Path
from typing import Any

from refunc import __version__
from refunc.journal.levels import WARNING, written_level
from refunc.journal.record import Artifact, LogLine
from refunc.journal.values import spell_nonfinite
from refunc.logging.quantities import amount, duration
from refunc.logging.terminal import printable
from refunc.runs.run import Run
from refunc.runs.series import FEWEST, Series
from refunc.runs.table import flat

#: Points that are drawn, of all curves together; and of one curve, however few there are.
MAX_POINTS = 24_000
MAX_CURVE = 1_200
#: Curves that are drawn at all: with more, the values stand in the table.
_CURVES = 400
#: Log lines of all runs together, and characters of each.
_LINES = 1_000
_LINE = 1_000
#: Characters of a param's or tag's value.
_VALUE = 2_000
_PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
#: Bytes of one picture, and of all together.
_PICTURE_BYTES = 300_000
_ALL_PICTURES_BYTES = 600_000


def content_of(runs: list[Run], *, title: str, made: str, max_points: int = MAX_POINTS) -> dict[str, Any]:
    """
    Return what a report of *runs* shows.

    Args:
        made: When the report was made, as text.
        max_points: The most points that are drawn, of all curves together. Of longer curves the lowest and highest of
            equal parts stay, both ends, and NaN.
    """
    room = [_ALL_PICTURES_BYTES]
    return {
        "title": title,
        "made": f"{made} by refunc {__version__}",
        "runs": [_run(run, _LINES // len(runs), room) for run in runs],
        "charts": _charts(runs, max_points),
    }


def _run(run: Run, lines: int, room: list[int]) -> dict[str, Any]:
    facts = run.to_dict()
    took = facts["duration"]
    return {
        "name": _short(facts["run_name"] or facts["run_id"]),
        "facts": {
            "status": _short(facts["status"]),
            "experiment": _short(facts["experiment_name"]),
            "id": facts["run_id"],
            "started": _moment(run.start_time),
            "duration": duration(took) if took is not None else "",
        },
        "environment": _environment(run, facts),
        "params": {_short(name): _short(_text(value)) for name, value in flat(facts["params"])},
        "tags": {_short(name): _short(value) for name, value in facts["tags"].items()},
        "values": {
            _short(name): {
                "numbers": [metric.get("last"), metric.get("min"), metric.get("max"), metric.get("count", 0)],
                "goal": metric.get("goal"),
            }
            for name, metric in facts["metrics"].items()
        },
        "error": printable((facts["error"] or "")[-20_000:], indent=""),
        **_log(run, lines),
        "artifacts": [_artifact(run, artifact, room) for artifact in run.artifacts],
    }


def _environment(run: Run, facts: dict[str, Any]) -> dict[str, str]:
    """Return where the run ran, as far as it is known; not where its folder is, for a report is sent to others."""
    imported = run.birth.get("imported")
    known = {
        **{name: facts[name] for name in ("script", "host", "pid", "python", "refunc")},
        "parent": facts["parent_id"],
        "imported from": imported.get("from") if isinstance(imported, dict) else None,
        "journal": ", ".join(f"{count:,} {name}" for name, count in facts["journal"].items() if count) or "whole",
    }
    return {name: _short(_text(value)) for name, value in known.items() if value is not None}


def _charts(runs: list[Run], max_points: int) -> dict[str, Any]:
    curves: dict[str, list[tuple[int, Series]]] = {}
    for number, run in enumerate(runs):
        for name, series in run.metrics().items():
            if len(series):
                curves.setdefault(name, []).append((number, series))
    names = sorted(curves, key=lambda name: (name.startswith("system/"), name))
    shown: list[str] = []
    count = 0
    for name in names:
        if count + len(curves[name]) > _CURVES:
            break
        shown.append(name)
        count += len(curves[name])
    most = _fair_share([len(series) for name in shown for _, series in curves[name]], max_points)
    return {
        "left_out": len(names) - len(shown),
        "list": [
            {"name": _short(name), "curves": [_curve(number, series, most) for number, series in curves[name]]}
            for name in shown
        ],
    }


def _fair_share(lengths: list[int], max_points: int) -> int:
    """Return the most points of a curve such that all have *max_points*: a short one leaves its share to others."""
    room, share = max_points, max_points
    for place, length in enumerate(sorted(lengths)):
        share = room // (len(lengths) - place)
        if length > share:
            break
        room -= length
    return max(FEWEST, min(MAX_CURVE, share))


def _curve(run: int, series: Series, most: int) -> dict[str, Any]:
    drawn = series.numbered().downsample(most)
    return {
        "run": run,
        "of": len(series),
        "odd": sum(not math.isfinite(value) for value in series.values),
        "x_name": _short(drawn.x_name),
        "x": [None if value is None or value != value else _digits(value, 12) for value in drawn.x],
        "y": [_digits(value, 7) for value in drawn.values],
    }


def _digits(value: float, digits: int) -> float | int:
    """Return *value* with so many digits that matter, as the shortest number that says it."""
    if not math.isfinite(value):
        return value
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _log(run: Run, most: int) -> dict[str, Any]:
    """Return the newest lines: half of them whatever their level, then warnings and errors further up."""
    count = 0
    kept: list[LogLine] = []
    grave: list[LogLine] = []
    for record in run.records():
        if not isinstance(record, LogLine):
            continue
        count += 1
        kept.append(record)
        if len(kept) > most:
            gone = kept[: most // 2]
            del kept[: most // 2]
            grave = [*grave, *(line for line in gone if written_level(line.level) >= WARNING)][-most // 2 :]
    kept = kept[-most // 2 :] if len(kept) + len(grave) > most else kept
    lines = [*grave, *kept]
    return {"lines_of": count, "lines": [_line(line) for line in lines]}


def _line(line: LogLine) -> list[Any]:
    text = line.message
    values = {**line.metrics, **line.other}
    if values:
        text += "  " + " ".join(f"{name}={_text(value)}" for name, value in values.items())
    if line.exception:
        text += "\n" + line.exception[-_LINE:]
    return [_moment(line.time), _short(line.level), _short(line.logger), _short(text, 2 * _LINE)]


def _artifact(run: Run, artifact: Artifact, room: list[int]) -> dict[str, Any]:
    return {
        "name": _short(artifact.name),
        "size": amount(artifact.size),
        "type": _short(artifact.type or ""),
        "where": _short(artifact.stored or f"not copied: {artifact.source}"),
        "picture": _picture(run, artifact, room),
    }


def _picture(run: Run, artifact: Artifact, room: list[int]) -> str | None:
    """Return the artifact as a data URL where it is a picture that is stored in the run and fits the report."""
    limit = min(_PICTURE_BYTES, room[0])
    if artifact.stored is None or artifact.size > limit:
        return None
    path = run.folder / artifact.stored
    if not _lies_in(path, run.folder):
        return None
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError:
        return None
    kind = next((kind for magic, kind in _PICTURES.items() if data.startswith(magic)), None)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "webp"
    if kind is None or len(data) > limit:
        return None
    room[0] -= len(data)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether *path* is a file of the run: a journal may be anybody's, and name any file of this machine."""
    try:
        return path.is_file() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):
        return False


def _text(value: Any) -> str:
    """Return *value* as a person writes it: text bare, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(spell_nonfinite(value), ensure_ascii=False)


def _short(value: str, limit: int = _VALUE) -> str:
    """Return *value* with every letter that is not to be seen spelled out, cut where it is long."""
    text = value if len(value) <= limit else f"{value[:limit]}… ({len(value):,} characters)"
    return printable(text, indent="")


def _moment(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return "?"
