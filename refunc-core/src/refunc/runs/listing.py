"""What a list of runs shows of each, kept in the index: a run that has not changed costs a look at its files' sizes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from refunc.journal.kinds import UNREADABLE
from refunc.runs.content import signature_of
from refunc.runs.ending import Ending, Glance
from refunc.runs.index import index_of
from refunc.runs.run import Run

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ending).decode


def glances(runs: Iterable[Run]) -> list[tuple[Run, Glance]]:
    """Return a glance at each of *runs*, which are of one store. One that is gone meanwhile is left out."""
    runs = list(runs)
    index = index_of(runs[0].folder) if runs else None
    known = index.endings() if index is not None else {}
    fresh: dict[str, tuple[bytes, bytes]] = {}
    found = []
    for run in runs:
        try:
            signature = _encode(signature_of(run.folder))
            kept = known.get(run.folder.name)
            ending = _known(kept[1]) if kept is not None and kept[0] == signature else None
            if ending is None:
                ending = Ending.of(run.folder)
                try:
                    fresh[run.folder.name] = (signature, _encode(ending))
                except (OverflowError, UnicodeEncodeError):  # a number or a text that the index cannot hold
                    pass
            found.append((run, run.glance(ending)))
        except OSError:  # no permission, or removed since the store was listed
            if run.folder.is_dir():
                found.append((run, Glance(status=UNREADABLE, duration=None, metrics={})))
    if fresh and index is not None:
        index.keep_endings(fresh)
    return found


def _known(ending: bytes) -> Ending | None:
    try:
        return _decode(ending)
    except msgspec.MsgspecError:
        return None
