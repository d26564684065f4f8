"""What is known of the changes in a store: facts with numbers, and those who want to know of them."""

from __future__ import annotations

from collections.abc import Callable

import attrs


@attrs.define
class Watched:
    """What is known of a run that a client has chosen; each fact with the number of its last change."""

    signature: object = None
    points: dict[str, int] = attrs.Factory(dict)
    changed: dict[str, int] = attrs.Factory(dict)
    lines: int = 0
    lines_changed: int = 0
    status: str = ""
    status_changed: int = 0
    #: The number of the last change of all.
    last: int = 0
    #: Whether it is to be looked at again, though no file has changed.
    is_due: bool = False


@attrs.frozen
class Change:
    """A change of the table: runs that are other, new or gone."""

    number: int
    changed: tuple[str, ...]
    new: int
    gone: int


@attrs.define(eq=False)
class Listener:
    """A client that wants to know of changes in some runs and metrics; `wake` is called from the watching thread."""

    runs: tuple[str, ...]
    is_wanted: Callable[[str], bool]
    wake: Callable[[], None]
