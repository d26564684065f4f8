"""
Annotations: the tags, notes, names and marks that people give a run later, in a file beside its journal.

They are changes, oldest first, in `annotations.json`; the result follows from all of them. Reading a run applies
them, and only the functions here write them, so code that changes runs shows it by this import.

    change    one change, and checking it
    changing  the functions that change annotations
    errors    the error of annotations
    file      reading the file
    replaced  replacing the file
    state     the result of a run's changes: tags, name, notes
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refunc.annotations.change import Change
    from refunc.annotations.changing import annotate, remove, restore
    from refunc.annotations.errors import AnnotationError
    from refunc.annotations.state import Annotations, Note

__all__ = ["AnnotationError", "Annotations", "Change", "Note", "annotate", "remove", "restore"]

#: The module of each public name, which is loaded when the name is first used (PEP 562): a list changes nothing.
_HOMES = {
    "AnnotationError": "errors",
    "Annotations": "state",
    "Change": "change",
    "Note": "state",
    "annotate": "changing",
    "remove": "changing",
    "restore": "changing",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
