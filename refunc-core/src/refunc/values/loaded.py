"""Objects of other modules that the program has loaded, without importing or requiring these modules."""

from __future__ import annotations

import sys
from typing import Any


def of_loaded(module: str, name: str) -> Any:
    """Return the attribute *name* of *module*; None if it is not loaded, or if another thread is still importing it."""
    return getattr(sys.modules.get(module), name, None)
