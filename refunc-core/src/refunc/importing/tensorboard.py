"""
TensorBoard's event files, read without TensorFlow: scalars in both forms, texts, and hyperparameters.

The numbers of the fields are those of event.proto, summary.proto, tensor.proto, and the plugins' own. Each folder with
event files is a run; what it has of images, histograms, sounds and graphs is counted and left out.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from refunc.importing.framing import read_events
from refunc.importing.source import Problems, SourceRun
from refunc.importing.wire import Message, WireError, varint
from refunc.journal import record as records
from refunc.journal.kinds import COMPLETED, FAILED

TRACKER = "tensorboard"

# Fields of Event, of Summary.Value, of SummaryMetadata.PluginData.
_WALL_TIME, _STEP, _SUMMARY = 1, 2, 5
_TAG, _SIMPLE_VALUE, _TENSOR, _METADATA = 1, 2, 8, 9
_LEGACY = {3: "histogram", 4: "image", 5: "histogram", 6: "sound"}
_SESSION_START, _SESSION_END = 3, 4
_SESSION_STATUS = {1: COMPLETED, 2: FAILED}
#: TensorBoard does not say how a run ended.
_UNKNOWN = "unknown"

#: Of TensorProto, by dtype: how its bytes are read, and which field has the values where there are no bytes.
_DTYPES = {1: ("f", 5), 2: ("d", 6), 3: ("i", 7), 4: ("B", 7), 9: ("q", 10), 14: ("bf", 13), 19: ("e", 13)}
_STRING = 7


def find_runs(path: Path) -> dict[Path, list[Path]]:
    """Return the event files at or below *path*, by the folder that is their run."""
    if path.is_file():
        return {path.parent: [path]} if ".tfevents." in path.name else {}
    found: dict[Path, list[Path]] = {}
    for file in sorted(path.rglob("*.tfevents.*")):
        if file.is_file():
            found.setdefault(file.parent, []).append(file)
    return found


def read_run(root: Path, folder: Path, files: list[Path]) -> SourceRun:
    """
    Return the run of the event *files* in *folder*; its name is what the folder is called below *root*.

    Raises:
        OSError: They cannot be read.
    """
    times: list[float] = []
    status, end = _UNKNOWN, None
    for file in files:
        for data in read_events(file, Problems().add, check=False):
            try:
                # An event begins with its time; only those that may tell of an end are looked into here.
                moment = (
                    struct.unpack_from("<d", data, 1)[0] if data[:1] == b"\x09" else Message(data).double(_WALL_TIME)
                )
                times = [min(times[0], moment), max(times[1], moment)] if times else [moment, moment]
                if b"hparams" in data:
                    ending = _session_end(Message(data))
                    if ending is not None:
                        status = _SESSION_STATUS.get(ending.integer(1), _UNKNOWN)
                        end = ending.double(2) or None
            except (WireError, struct.error):
                continue  # told when the events are read for good
    start = times[0] if times else files[0].stat().st_mtime
    name = folder.relative_to(root).as_posix() if folder != root and folder.is_relative_to(root) else folder.name
    return SourceRun(
        tracker=TRACKER,
        # A file is named by its time, host and process, so it is the same one wherever it is copied to.
        id=f"{name}/{files[0].name}",
        experiment=root.name if folder != root else folder.parent.name or folder.name,
        name=name,
        start_time=start,
        end_time=max(end or start, *(times[1:] or [start])),
        status=status,
        place=folder,
        records=lambda problems: _contents(files, problems),
    )


def _session_end(event: Message) -> Message | None:
    """Return what the plugin for hyperparameters was told at the end of a session, where *event* has it."""
    for value in event.message(_SUMMARY).messages(1):
        content = Message(value.message(_METADATA).message(1).bytes(2))
        if _SESSION_END in content:
            return content.message(_SESSION_END)
    return None


def _events(files: list[Path], problems: Problems) -> Iterator[Message]:
    """Yield the events of all *files*, merged by time."""

    def events(path: Path) -> Iterator[Message]:
        for data in read_events(path, problems.add):
            try:
                event = Message(data)
                event.double(_WALL_TIME)
            except WireError as error:
                problems.add(f"an event is damaged: {error}")
                continue
            yield event

    if len(files) == 1:
        return events(files[0])
    return heapq.merge(*map(events, files), key=lambda event: event.double(_WALL_TIME))


def _contents(files: list[Path], problems: Problems) -> Iterator[records.Record]:
    plugins: dict[str, str] = {}  # a tag's first value says which plugin it belongs to
    for event in _events(files, problems):
        try:
            found = list(_converted(event, plugins, problems))
        except (WireError, ValueError, struct.error) as error:
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
    """Return a bfloat16: the upper half of a float."""
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
    """Yield what the plugin for hyperparameters was told at the start of a session."""
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
