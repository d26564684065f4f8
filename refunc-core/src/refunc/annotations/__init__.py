"""
Annotations: the tags, notes, names and marks that people give a run later, in a file beside its journal.

They are changes, oldest first, in `annotations.json`; the result follows from all of them. Reading a run applies
them, and only the functions here write them, so code that changes runs shows it by this import.

    annotate  the functions that change annotations
    change    one change, and checking it
    errors    the error of annotations
    file      reading and replacing the file
    state     the result of a run's changes: tags, name, notes
"""

from __future__ import annotations

from refunc.annotations.annotate import annotate, remove, restore
from refunc.annotations.change import Change
from refunc.annotations.errors import AnnotationError
from refunc.annotations.state import Annotations, Note

__all__ = ["AnnotationError", "Annotations", "Change", "Note", "annotate", "remove", "restore"]
