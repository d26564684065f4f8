"""The error of annotations."""

from __future__ import annotations


class AnnotationError(Exception):
    """The annotations of a run cannot be read or changed; the text says why, and what to do."""
