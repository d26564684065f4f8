"""
TensorBoard's event files, read without TensorFlow: scalars in both forms, texts, and hyperparameters.

The field numbers are those of event.proto, summary.proto, tensor.proto, and the plugins' own. Each folder with event
files is a run, but for those of `tensorboard_sessions`; its images, histograms, sounds and graphs are counted and left
out. The `hparams.yaml` that Lightning's logger puts beside them has its params.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from refunc.journal import record as records
from refunc.journal.kinds import COMPLETED, FAILED
from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.framing import read_events
from refunc_commands.importing.problems import Problems, SourceError
from refunc_commands.importing.source import SourceRun, is_moment
from refunc_commands.importing.wire import Message, WireError, varint
from refunc_commands.importing.yaml_files import read_yaml

TRACKER = "tensorboard"

_PARAMS = "hparams.yaml"

# Fields of Event, of Summary.Value, of SummaryMetadata.PluginData.
_WALL_TIME, _STEP, _SUMMARY = 1, 2, 5
_TAG, _SIMPLE_VALUE, _TENSOR, _METADATA = 1, 2, 8, 9
_LEGACY = {3: "histogram", 4: "image", 5: "histogram", 6: "sound"}
_SESSION_START, _SESSION_END = 3, 4
_SESSION_STATUS = {1: COMPLETED, 2: FAILED}
#: TensorBoard does not say how a run ended.
_UNKNOWN = "unknown"

#: For TensorProto, by dtype: the format of its bytes, and the field that has the values if there are no bytes.
_DTYPES = {1: ("f", 5), 2: ("d", 6), 3: ("i", 7), 4: ("B", 7), 9: ("q", 10), 14: ("bf", 13), 19: ("e", 13)}
_STRING = 7
#: Files of one run that are open at once.
_MOST_MERGED = 100


def find_runs(files: SourceFiles, path: Path, problems: Problems) -> dict[Path, list[Path]]:
    """Return the event files at or below *path*, by the folder that is their run."""
    if path.is_file():
        return {path.parent: [path]} if ".tfevents." in path.name else {}
    found: dict[Path, list[Path]] = {}
    for file in sorted(files.walk(path, problems, wanted=lambda name: ".tfevents." in name)):
        found.setdefault(file.parent, []).append(file)
    return found


def read_run(
    files: SourceFiles, root: Path, folder: Path, events: list[Path], sessions: Sequence[list[Path]] = ()
) -> SourceRun:
    """
    Return the run of the files *events* in *folder*; its name is the folder's path relative to *root*.

    Args:
        sessions: Its sessions of hyperparameters, each with its files, in folders of their own.

    Raises:
        SourceError: They are not files of the source.
        OSError: They cannot be read.
    """
    times: list[float] = []
    status, end = _UNKNOWN, None
    inside = [file for each in sessions for file in each]
    for file in (*events, *inside):
        for data in read_events(files, file, Problems().add, check=False):
            try:
                # An event begins with its time; only events that may contain an end are parsed here.
                moment = (
                    struct.unpack_from("<d", data, 1)[0] if data[:1] == b"\x09" else Message(data).double(_WALL_TIME)
                )
                if not is_moment(moment):
                    continue
                if file not in inside:
                    times = [min(times[0], moment), max(times[1], moment)] if times else [moment, moment]
                if b"hparams" in data:
                    ending = _session_end(Message(data))
                    if ending is not None:
                        status = _SESSION_STATUS.get(ending.integer(1), _UNKNOWN)
                        end = ending.double(2) if is_moment(ending.double(2)) else None
            except (WireError, struct.error):
                continue  # reported when the events are converted
    start = times[0] if times else events[0].stat().st_mtime
    name = folder.relative_to(root).as_posix() if folder != root and folder.is_relative_to(root) else folder.name
    return SourceRun(
        tracker=TRACKER,
        # A file's name has its time, host and process, so it identifies the run wherever it is copied to.
        id=f"{name}/{events[0].name}",
        # The name is another one where only a part of the source is imported.
        part=_part(events),
        inside=tuple(_part(each) for each in sessions),
        experiment=root.name if folder != root else folder.parent.name or folder.name,
        name=name,
        start_time=start,
        end_time=max(end or start, *(times[1:] or [start])),
        status=status,
        path=folder,
        files=files,
        records=partial(_contents, files, events, inside, folder / _PARAMS, start),
    )


def _part(events: list[Path]) -> str:
    """Return the end of a run's id that does not depend on the path that is imported."""
    return f"{events[0].parent.name}/{events[0].name}"


def _session_end(event: Message) -> Message | None:
    """Return the session end of the plugin for hyperparameters, if *event* has it."""
    for value in event.message(_SUMMARY).messages(1):
        content = Message(value.message(_METADATA).message(1).bytes(2))
        if _SESSION_END in content:
            return content.message(_SESSION_END)
    return None


def _events(files: SourceFiles, paths: list[Path], problems: Problems) -> Iterator[Message]:
    """Yield the events of all files, merged by time; of very many files in the files' order, to limit open files."""

    def events(path: Path) -> Iterator[Message]:
        for data in read_events(files, path, problems.add):
            try:
                event = Message(data)
                if not is_moment(moment := event.double(_WALL_TIME)):
                    raise WireError(f"its time is {moment}")
            except WireError as error:
                problems.add(f"an event is damaged: {error}")
                continue
            yield event

    if len(paths) == 1 or len(paths) > _MOST_MERGED:
        return chain.from_iterable(map(events, paths))
    return heapq.merge(*map(events, paths), key=lambda event: event.double(_WALL_TIME))


def _contents(
    files: SourceFiles, paths: list[Path], sessions: Sequence[Path], params: Path, start: float, problems: Problems
) -> Iterator[records.Record]:
    if files.is_file(params):
        try:
            yield records.Params(params=read_yaml(files, params), time=start)
        except (SourceError, ValueError, OSError) as error:
            problems.leave_out(params.name, str(error))
    yield from _values(files, paths, problems)
    for record in _values(files, list(sessions), problems):
        if isinstance(record, records.Metrics):
            for name, value in record.metrics.items():
                yield records.LogLine(level="RESULT", message=name, metrics={name: value}, time=record.time)
        else:
            yield record


def _values(files: SourceFiles, paths: list[Path], problems: Problems) -> Iterator[records.Record]:
    plugins: dict[str, str] = {}  # a tag's first value names its plugin
    for event in _events(files, paths, problems):
        try:
            found = list(_converted(event, plugins, problems))
        except (WireError, ValueError, OverflowError, struct.error) as error:
            problems.add(f"an event is damaged: {error}")
            continue
        yield from found


def _converted(event: Message, plugins: dict[str, str], problems: Problems) -> Iterator[records.Record]:
    moment, step = event.double(_WALL_TIME), event.integer(_STEP)
    metrics: dict[str, int | float | None] = {}
    for value in event.message(_SUMMARY).messages(1):
        tag = value.text(_TAG)
        if _SIMPLE_VALUE in value:
            metrics[tag] = value.float(_SIMPLE_VALUE)
            continue
        data = value.message(_METADATA).message(1)
        plugin = plugins.setdefault(tag, data.text(1)) or data.text(1)
        if plugin == "hparams":
            yield from _params(Message(data.bytes(2)), moment)
        elif plugin == "scalars" and _TENSOR in value:
            number = _numbers(value.message(_TENSOR))
            if len(number) != 1:
                raise ValueError(f"a scalar of {len(number)} numbers")
            metrics[tag] = number[0]
        elif plugin == "text" and _TENSOR in value:
            for text in value.message(_TENSOR).texts(8):
                name = tag.removesuffix("/text_summary")
                yield records.LogLine(level="INFO", message=text, step=step, extra={"tag": name}, time=moment)
        else:
            kind = next((name for field, name in _LEGACY.items() if field in value), plugin.rstrip("s") or "value")
            problems.add(f"left out: {kind}")
    if metrics:
        yield records.Metrics(metrics=metrics, step=step, time=moment)


def _numbers(tensor: Message) -> list[int | float]:
    kind = tensor.integer(1)
    if kind not in _DTYPES:
        raise ValueError(f"a scalar of the tensor type {kind}")
    form, field = _DTYPES[kind]
    content = tensor.bytes(4)
    if content:
        if form == "bf":
            return [_brain(word) for (word,) in struct.iter_unpack("<H", content)]
        return [value for (value,) in struct.iter_unpack(f"<{form}", content)]
    if form in ("f", "d"):
        packed = b"".join(value for value in tensor.raw(field) if isinstance(value, bytes))
        return [value for (value,) in struct.iter_unpack(f"<{form}", packed)]
    words = _integers(tensor, field)
    if form == "e":
        return [struct.unpack("<e", struct.pack("<H", word & 0xFFFF))[0] for word in words]
    if form == "bf":
        return [_brain(word & 0xFFFF) for word in words]
    return list(words)


def _brain(word: int) -> float:
    """Return a bfloat16, which is the upper half of a float."""
    return float(struct.unpack("<f", struct.pack("<I", word << 16))[0])


def _integers(message: Message, number: int) -> Iterator[int]:
    """Yield the values of a repeated integer field, packed or not."""
    for value in message.raw(number):
        data, at = (value, 0) if isinstance(value, bytes) else (b"", 0)
        if isinstance(value, int):
            yield value - (1 << 64) if value >= 1 << 63 else value
        while at < len(data):
            one, at = varint(data, at)
            yield one - (1 << 64) if one >= 1 << 63 else one


def _params(content: Message, moment: float) -> Iterator[records.Record]:
    """Yield the session start of the plugin for hyperparameters as params."""
    params: dict[str, Any] = {}
    for entry in content.message(_SESSION_START).messages(1):
        value = entry.message(2)
        if 2 in value:
            number = value.double(2)
            params[entry.text(1)] = int(number) if number.is_integer() and abs(number) < 1 << 53 else number
        elif 3 in value:
            params[entry.text(1)] = value.text(3)
        elif 4 in value:
            params[entry.text(1)] = bool(value.integer(4))
        else:
            params[entry.text(1)] = None
    if params:
        yield records.Params(params=params, time=moment)
