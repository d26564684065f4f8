"""How much a call waits for: nothing, the operating system, or the disk."""

from __future__ import annotations

from typing import Literal

Durability = Literal["async", "process", "disk"]
DURABILITIES = ("async", "process", "disk")


def check_durability(durability: str) -> Durability:
    """Return *durability*, or raise the ValueError that names the allowed values."""
    if durability not in DURABILITIES:
        raise ValueError(f"durability: {durability!r} is not known. Allowed: {', '.join(DURABILITIES)}.")
    return durability  # type: ignore[return-value]  # checked above
