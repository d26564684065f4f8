"""The answer to a question about the runs of a store; `query` finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from refunc.runs.errors import RunFormatError
    from refunc.runs.expression.asked import Path
    from refunc.runs.run import Run


@attrs.frozen
class Answer:
    """
    The runs that match, in their order, each with its values.

    Args:
        unreadable: The errors of runs that could not be read.
        notes: Sentences about values that could not be compared.
        hidden: The number of runs that were left out because `refunc rm` has marked them.
    """

    runs: list[tuple[Run, dict[Path, Any]]]
    unreadable: list[RunFormatError]
    notes: list[str] = attrs.Factory(list)
    hidden: int = 0
