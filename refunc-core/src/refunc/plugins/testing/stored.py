"""The contents of a backend for a run, as the fixture `stored` returns them."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Stored:
    """
    The contents of a backend for one run. None means that the backend does not keep them, so they are not checked.

    `metrics` are points in the order in which the backend returns them: name, step, value. Values are compared as
    numbers; for NaN and ±inf any value will do, because backends have forms of their own for these.
    """

    metrics: list[tuple[str, Any, Any]] | None = None
    params: dict[str, Any] | None = None
    tags: dict[str, str] | None = None
    #: The messages of lines.
    lines: list[str] | None = None
    #: The names of artifacts.
    artifacts: list[str] | None = None
    #: The run's status in the backend's own word.
    status: str | None = None
