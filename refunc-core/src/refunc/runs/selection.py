"""The points of a metric that are asked for: of which ranks and attempts."""

from __future__ import annotations

from typing import Final, Literal

import attrs

#: A rank, or the way to join all ranks' points: all of them, or one value a step.
Ranks = int | Literal["all", "mean", "min", "max"] | None
Attempts = Literal["newest", "all"]

#: The words for all ranks. In a run without ranks they mean its only process.
AGGREGATES: Final = ("all", "mean", "min", "max")


@attrs.frozen
class Selection:
    """The points that are asked for; those of all ranks carry their rank, and those of all attempts their attempt."""

    rank: Ranks = None
    attempts: Attempts = "newest"
    #: Whether points carry their attempt in any case.
    is_marked: bool = False

    def __attrs_post_init__(self) -> None:
        """Raise ValueError for a word that is not known, TypeError for a rank that is not a number."""
        if isinstance(self.rank, str) and self.rank not in AGGREGATES:
            raise ValueError(f"rank: {self.rank!r} is not known. Allowed: a number, {', '.join(AGGREGATES)}.")
        if isinstance(self.rank, bool) or not isinstance(self.rank, (int, str, type(None))):
            raise TypeError(f"rank: {self.rank!r} is not a number, {', '.join(AGGREGATES)} or None.")
        if self.attempts not in ("newest", "all"):
            raise ValueError(f"attempts: {self.attempts!r} is not known. Allowed: newest, all.")
