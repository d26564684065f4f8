"""Names of a run's results: two results may each have an `accuracy`, and both are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refunc.logging.notices import warn_once
from refunc.values.twins import OwnedNames


class ResultNames:
    """The result that each metric among a run's results belongs to, for the results that this process logged."""

    def __init__(self) -> None:
        self._names = OwnedNames()

    def apart(self, result: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """
        Return the *values* of a *result* under their names, prefixed with the result's name if another result has one
        of them.

        The result that had the name first keeps it, so that written records stay valid.
        """
        found: dict[str, Any] = {}
        for name, value in values.items():
            own = self._names.of(result, name)
            if own != name:
                warn_once(
                    f"result {own}",
                    "log_result: %r of %r is kept as %r, because the result %r already has this name.",
                    *(name, result, own, self._names.owner(name)),
                )
            found[own] = value
        return found
