"""
Whether this process delivers, for code that must not import the modules that deliver.

The handover notes itself here with the first integration of the process. A script without one never loads it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_is_courier: Callable[[], bool] | None = None
_wait_at_exit: Callable[[Callable[..., Any]], None] | None = None


def begin(is_courier: Callable[[], bool], wait_at_exit: Callable[[Callable[..., Any]], None]) -> None:
    """Have the two functions below ask these."""
    global _is_courier, _wait_at_exit
    _is_courier, _wait_at_exit = is_courier, wait_at_exit


def is_courier() -> bool:
    """Whether the calling thread delivers, in this process."""
    return _is_courier is not None and _is_courier()


def wait_at_exit(tell: Callable[..., Any]) -> None:
    """Wait until the logged records are delivered, a bounded time; see `handover.wait_at_exit`."""
    if _wait_at_exit is not None:
        _wait_at_exit(tell)
