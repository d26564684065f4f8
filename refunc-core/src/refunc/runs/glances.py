"""The facts for a list of runs, kept in the index: for an unchanged run only the sizes of its files are checked."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from refunc.journal.kinds import UNREADABLE
from refunc.runs.glance import Ending, Glance
from refunc.runs.index.file import index_of, names_of_few
from refunc.runs.run import Run
from refunc.runs.signature import signature_of
from refunc.runs.unreadable import fault_of

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ending).decode


def glances(runs: Iterable[Run]) -> list[tuple[Run, Glance]]:
    """Return a glance at each of *runs*, which are of one store. Runs that are gone meanwhile are left out."""
    runs = list(runs)
    index = index_of(runs[0].folder) if runs else None
    known = index.endings(names_of_few(runs)) if index is not None else {}
    fresh: dict[str, tuple[bytes, bytes]] = {}
    found = []
    for run in runs:
        try:
            signature = _encode(signature_of(run.folder))
            kept = known.get(run.folder.name)
            ending = _known(kept[1]) if kept is not None and kept[0] == signature else None
            if ending is None:
                from refunc.runs.ending import ending_of

                ending = ending_of(run.folder)
                try:
                    fresh[run.folder.name] = (signature, _encode(ending))
                except (OverflowError, UnicodeEncodeError):  # a number or a text that the index cannot store
                    pass
            found.append((run, run.glance(ending)))
        except Exception as error:  # no permission, removed since the store was listed, or any error of a hostile run
            fault_of(run.folder, error)
            if run.folder.is_dir():
                found.append((run, Glance(status=UNREADABLE, duration=None, metrics={})))
    if fresh and index is not None:
        index.keep_endings(fresh)
    return found


def _known(ending: bytes) -> Ending | None:
    try:
        kept = _decode(ending)
    except msgspec.MsgspecError:  # of another version
        return None
    return kept if kept.is_final else None
