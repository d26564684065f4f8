"""Objects of other modules that the program has loaded, without importing or requiring these modules."""

from __future__ import annotations

import sys
from typing import Any


def of_loaded(module: str, name: str) -> Any:
    """
    Return the attribute *name* of *module*; None if it is not loaded, or if it is still being imported.

    A function of a module that another thread is importing may be there before the variables that it uses:
    `multiprocessing.process` defines `parent_process` in its first lines, and its variable in its last ones.
    """
    loaded = sys.modules.get(module)
    # The mark by which Python's own import waits for another thread's; stand-ins for modules have any attribute.
    if getattr(getattr(loaded, "__spec__", None), "_initializing", False) is True:
        return None
    return getattr(loaded, name, None)
