"""The data that a report shows of its runs, as plain JSON of a bounded size."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from refunc import __version__
from refunc.journal.opening import opened
from refunc.journal.reader import METRICS_MARK, read_backwards
from refunc.journal.record import Artifact, LogLine
from refunc.journal.roles import role_of
from refunc.runs.flat import flat
from refunc.runs.run import Run
from refunc.runs.summary import MetricSummary
from refunc.values.jsonable import spell_nonfinite
from refunc.values.levels import WARNING, written_level
from refunc.values.moments import moment_text
from refunc.values.printable import printable
from refunc.values.quantities import amount, duration
from refunc_commands.report.curves import Drawing, Of, charts_of
from refunc_commands.report.room import Room

_USUAL = Drawing()

#: Log lines of all runs together, and characters of each.
_LINES = 1_000
_LINE = 1_000
#: Characters of a param's or tag's value, and of a run's name and environment.
_VALUE = 2_000
_FACT = 200
#: Bytes of the page's content, of the heads of all runs together, and of their parts; charts get the rest.
_PAGE = 1_900_000
_HEADS = 400_000
_PARTS = {"params": 120_000, "tags": 40_000, "values": 120_000, "artifacts": 60_000, "lines": 250_000, "error": 40_000}
#: Bytes that pictures leave to charts.
_CHARTS = 500_000
_PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
#: Bytes of one picture, and of all together.
_PICTURE_BYTES = 300_000
_ALL_PICTURES_BYTES = 600_000


def content_of(runs: list[Run], *, title: str, made: str, drawing: Drawing = _USUAL) -> dict[str, Any]:
    """
    Return the data of a report of *runs*: of the newest ones that there is room for; groups are of all.

    Args:
        made: When the report was made, as text.
        drawing: Which curves are drawn, and of how many points together. Of longer curves the lowest and highest of
            equal parts stay, both ends, and NaN. Values are those of its rank; see `Run.metrics`.

    Raises:
        ExpressionError: A name to group by is not valid, or no run has it.
    """
    rank = drawing.rank
    room = Room(_PAGE)
    newest = _newest(runs, room)
    shown = [run for run, _, _ in newest]
    drawn = runs if drawing.groups else shown
    metrics = [run.summary.metrics if rank is None else run.metric_summaries(rank=rank) for run in drawn]
    own = metrics[len(metrics) - len(shown) :]
    found = [
        {**head, **_parts(run, facts, each, room, len(shown))}
        for (run, facts, head), each in zip(newest, own, strict=True)
    ]
    pictures = [_ALL_PICTURES_BYTES]
    for run, part in zip(shown, found, strict=True):
        for artifact, item in zip(run.artifacts, part["artifacts"], strict=False):
            item["picture"] = picture = _picture(run, artifact, pictures, room.left - _CHARTS)
            room.left -= len(picture or "")
    return {
        "title": title,
        "made": f"{made} by refunc {__version__}",
        "runs": found,
        "runs_left_out": len(runs) - len(found),
        "charts": charts_of(Of(drawn, metrics), drawing, room, _short),
    }


def _newest(runs: Sequence[Run], room: Room) -> list[tuple[Run, dict[str, Any], dict[str, Any]]]:
    """Return the newest runs that there is room for, oldest first: each as it is now, with its facts and its head."""
    read: list[tuple[Run, dict[str, Any]]] = []

    def heads() -> Iterator[dict[str, Any]]:
        for run in reversed(runs):
            now = run.still()
            read.append((now, now.to_dict(metrics=False)))
            yield _head(*read[-1])

    kept = room.kept(heads(), _HEADS)
    return [(run, facts, head) for (run, facts), head in zip(read, kept, strict=False)][::-1]


def _head(run: Run, facts: dict[str, Any]) -> dict[str, Any]:
    took = facts["duration"]
    return {
        "name": _short(facts["run_name"] or facts["run_id"], _FACT),
        "facts": {
            "status": _short(facts["status"], _FACT),
            "experiment": _short(facts["experiment_name"], _FACT),
            "id": _short(facts["run_id"], _FACT),
            "started": moment_text(run.start_time),
            "duration": duration(took) if took is not None else "",
        },
        "environment": _environment(run, facts),
    }


def _parts(run: Run, facts: dict[str, Any], metrics: dict[str, MetricSummary], room: Room, runs: int) -> dict[str, Any]:
    log = _log(run, _LINES // runs)
    error = printable((facts["error"] or "")[-20_000:], indent="").splitlines(keepends=True)
    parts = {
        "params": [(_short(name), _short(_text(value))) for name, value in flat(facts["params"])],
        "tags": [(_short(name), _short(value)) for name, value in facts["tags"].items()],
        "values": _Each(sorted(metrics), lambda name: (_short(name), _values(metrics[name]))),
        "artifacts": _Each(run.artifacts, _artifact),
        "lines": log["lines"][::-1],
        "error": error[::-1],
    }
    kept: dict[str, Any] = {part: room.kept(items, _PARTS[part] // runs) for part, items in parts.items()}
    left_out = [
        f"{len(kept[part]):,} of {len(items):,} {part} are in this report"
        for part, items in parts.items()
        if part not in ("lines", "error") and len(kept[part]) < len(items)
    ]
    return {
        "left_out": [*run.summary.left_out.told(), *left_out],
        **{part: dict(kept[part]) for part in ("params", "tags", "values")},
        "artifacts": kept["artifacts"],
        "lines": kept["lines"][::-1],
        "lines_of": log["lines_of"],
        "error": "".join(kept["error"][::-1]) or ("".join(error)[-2_000:] if error else ""),
    }


@attrs.frozen
class _Each(Collection[Any]):
    """The results of *make* for each of *items*, made lazily."""

    items: Sequence[Any]
    make: Callable[[Any], Any]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return map(self.make, self.items)

    def __contains__(self, item: object) -> bool:
        return any(item == each for each in self)


def _values(metric: MetricSummary) -> dict[str, Any]:
    return {"numbers": [metric.last, metric.min, metric.max, metric.count], "goal": metric.goal} | (
        {"guess": metric.guessed_goal} if metric.guessed_goal else {}
    )


def _environment(run: Run, facts: dict[str, Any]) -> dict[str, str]:
    """Return where the run ran, as far as known; without the run's folder, because a report is sent to others."""
    imported = run.birth.get("imported")
    known = {
        **{name: facts[name] for name in ("script", "host", "pid", "python", "refunc")},
        "parent": facts["parent_id"],
        "notes": "\n".join(note["text"] for note in facts["notes"]) or None,
        "imported from": imported.get("from") if isinstance(imported, dict) else None,
        "journal": ", ".join(f"{count:,} {name}" for name, count in facts["journal"].items() if count) or "whole",
    }
    return {name: _short(_text(value), _FACT) for name, value in known.items() if value is not None}


def _log(run: Run, most: int) -> dict[str, Any]:
    """Return the newest lines: half of any level, then older warnings and errors."""
    count = run.summary.lines
    kept: list[LogLine] = []
    grave: list[LogLine] = []
    seen = 0
    # Backwards and without metrics, so that the beginning of a long run is seldom read.
    for record in read_backwards(run.folder, pass_over=METRICS_MARK) if count else ():
        if isinstance(record, LogLine):
            seen += 1
            if count <= most or len(kept) < most // 2:
                kept.append(record)
            elif written_level(record.level) >= WARNING:
                grave.append(record)
        if seen >= count or len(grave) >= most // 2:
            break
    lines = [*grave[::-1], *kept[::-1]]
    return {"lines_of": count, "lines": [_line(line) for line in lines]}


def _line(line: LogLine) -> list[Any]:
    rank = role_of(line.writer).rank
    text = f"[rank {rank}] {line.message}" if rank else line.message
    values = {**line.metrics, **line.other}
    if values:
        text += "  " + " ".join(f"{name}={_text(value)}" for name, value in values.items())
    if line.exception:
        text += "\n" + line.exception[-_LINE:]
    return [moment_text(line.time), _short(line.level), _short(line.logger), _short(text, 2 * _LINE)]


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {
        "name": _short(artifact.name),
        "size": amount(artifact.size),
        "type": _short(artifact.type or ""),
        "where": _short(artifact.stored or f"not copied: {artifact.source}"),
        "picture": None,
    }


def _picture(run: Run, artifact: Artifact, room: list[int], left: int) -> str | None:
    """Return the artifact as a data URL if it is a picture that is stored in the run and fits the report."""
    limit = min(_PICTURE_BYTES, room[0], left * 3 // 4 - 100)
    if artifact.stored is None or artifact.size > limit:
        return None
    path = run.folder / artifact.stored
    if not _lies_in(path, run.folder):
        return None
    try:
        with opened(path) as file:
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
    """Whether *path* is a file of the run: a foreign journal may name any file of this machine."""
    try:
        return path.is_file() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):
        return False


def _text(value: Any) -> str:
    """Return *value* as a person writes it: text without quotes, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(spell_nonfinite(value), ensure_ascii=False)


def _short(value: str, limit: int = _VALUE) -> str:
    """Return *value* with invisible characters escaped, cut if it is long."""
    text = value if len(value) <= limit else f"{value[:limit]}… ({len(value):,} characters)"
    return printable(text, indent="")
