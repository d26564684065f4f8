"""Where an imported run comes from: its tracker, and its ids there."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from refunc.runs.run import Run


def origin_of(run: Run) -> dict[str, Any]:
    """Return the tracker that *run* was imported from, and its id there; None if it was not imported."""
    known = _imported(run)
    return {"imported_from": known.get("from"), "imported_id": known.get("id")}


def origins_of(run: Run) -> list[str]:
    """Return the names under which the tracker knows *run*: its id, and of W&B its folder, offline or not."""
    known = _imported(run)
    names = [str(known["id"])] if known.get("id") else []
    if known.get("from") == "wandb":
        folders = [part for part in PurePath(str(known.get("place"))).parts[-2:] if "run-" in part]
        names += dict.fromkeys((*folders, *(part.removeprefix("offline-") for part in folders)))
    return names


def _imported(run: Run) -> dict[str, Any]:
    imported = run.birth.get("imported")
    return imported if isinstance(imported, dict) else {}
