"""
Hyperparameters of TensorBoard in a folder of their own.

`SummaryWriter.add_hparams` writes a session (its hyperparameters, its end, and one value of each result) into a new
folder below that of the run's curves. Such a folder is a part of this run. Only if one run has sessions with different
hyperparameters, as a script makes that writes all its trials with one writer, is each a run of its own. Folders with
curves of their own, as TensorFlow's, always are.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from refunc_commands.importing.files import SourceFiles
from refunc_commands.importing.framing import read_events
from refunc_commands.importing.problems import Problems, attempted
from refunc_commands.importing.wire import Message

#: More events than `add_hparams` writes.
_MOST_EVENTS = 1_000
_SUMMARY, _TAG, _METADATA = 5, 1, 9
_EXPERIMENT, _SESSION_START, _SESSION_END = 2, 3, 4


def sessions_in(files: SourceFiles, folders: dict[Path, list[Path]]) -> dict[Path, list[Path]]:
    """Return those of *folders* with events that are sessions of the run in the folder above, by that folder."""
    found: dict[Path, list[tuple[Path, bytes]]] = {}
    for folder, events in folders.items():
        if folder.parent in folders and folder.parent != folder:
            session = attempted(partial(_session, files, events), _ignore)
            if session is not None:
                found.setdefault(folder.parent, []).append((folder, session))
    return {
        parent: [folder for folder, _ in sessions]
        for parent, sessions in found.items()
        if len({params for _, params in sessions}) == 1
    }


def _session(files: SourceFiles, events: list[Path]) -> bytes | None:
    """Return the hyperparameters of the session in *events*, comparably; None if there is anything else in them."""
    count = 0
    seen: set[str] = set()
    parts: set[int] = set()
    params: list[bytes] = []
    for file in events:
        for data in read_events(files, file, Problems().add, check=False):
            count += 1
            if count > _MOST_EVENTS:
                return None
            for value in Message(data).message(_SUMMARY).messages(1):
                plugin = value.message(_METADATA).message(1)
                if plugin.text(1) == "hparams":
                    content = Message(plugin.bytes(2))
                    parts |= {part for part in (_EXPERIMENT, _SESSION_START, _SESSION_END) if part in content}
                    params += [_bytes_of(entry) for entry in content.message(_SESSION_START).raw(1)]
                elif (tag := value.text(_TAG)) in seen:  # a curve
                    return None
                else:
                    seen.add(tag)
    return b"\0".join(sorted(params)) if len(parts) == 3 else None


def _bytes_of(entry: Any) -> bytes:
    return entry if isinstance(entry, bytes) else b""


def _ignore(reason: str) -> None:
    """Leave a damaged folder to the reader of runs, which reports it."""
