"""
The calls before and after a fork, where the system has forks.

A module that keeps state of the process registers at its import: nothing tells it later that the first fork is near,
and another thread may be within its lock just then. In a child, the calls come in the order of registration, so that a
module finds those that it imports in order again.
"""

from __future__ import annotations

import os
from collections.abc import Callable


def at_fork(**calls: Callable[[], object]) -> None:
    """Register calls for `before`, `after_in_parent` and `after_in_child`, as `os.register_at_fork` does."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**calls)


def in_child(call: Callable[[], None]) -> Callable[[], None]:
    """Make *call* in each forked child: a decorator."""
    at_fork(after_in_child=call)
    return call
