"""The page of a store in a notebook."""

from __future__ import annotations

import os
from typing import Any

from refunc.runs.packages import needed
from refunc.runs.store import Store, open_store


def show(store: Store | str | os.PathLike[str] | None = None, *, height: int = 800) -> Any:
    """
    Return the page with the runs of *store*, for a cell of a notebook; it is updated while trainings run.

    The page is that of `refunc ui`. A server in this process is behind it, on this machine alone, and ends with it.

    Args:
        store: A store, or its folder; by default the one to which trainings in this folder write.
        height: The height of the page, in pixels.

    Raises:
        PackageNeededError: refunc-ui or IPython is not installed.
    """
    found = store if isinstance(store, Store) else open_store(store)
    instead = "`refunc report` writes runs to one HTML file without it."
    notebook = needed("refunc_ui.notebook", "show()", instead, install="pip install ./refunc-ui, in a copy of refunc")
    needed("IPython", "show()", "`refunc ui` shows the same page in a browser.")
    return notebook.show(found, height=height)
