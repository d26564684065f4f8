"""A run as one document of plain values, for `refunc show --json` and for users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from refunc.journal.record import Artifact
from refunc.runs.ranks import state_of
from refunc.runs.selection import Ranks

if TYPE_CHECKING:
    from refunc.runs.run import Run


def document_of(run: Run, *, metrics: bool, rank: Ranks) -> dict[str, Any]:
    """Return the document; see `Run.to_dict`."""
    run = run.still()
    summary, annotations = run.summary, run.annotations
    usual = summary.metrics if rank is None else run.metric_summaries(rank=rank)
    known = usual if metrics else {}
    return {
        **run.facts(summary),
        "folder": str(run.folder),
        **{key: run.birth.get(key) for key in ("host", "pid", "script", "commit", "python", "refunc")},
        "packages": run.packages,
        "tags": summary.tags,
        "notes": [attrs.asdict(note) for note in annotations.notes],
        "annotations": [change.to_dict() for change in annotations.changes],
        "is_removed": annotations.removal is not None,
        "params": summary.params,
        "results": summary.results,
        "metrics": {name: known[name].to_dict() for name in sorted(known)},
        "artifacts": [_artifact(artifact) for artifact in summary.artifacts],
        "lines": summary.lines,
        "error": summary.end.error if summary.end else None,
        "journal": attrs.asdict(summary.account),
        "left_out": attrs.asdict(summary.left_out),
        **(state_of(run) if run.content().is_shared else {}),
    }


def _artifact(artifact: Artifact) -> dict[str, Any]:
    names = ("name", "type", "size", "stored", "source", "sha256", "files", "metadata")
    parts = ("references", "reference_bytes", "largest_references", "left_out", "left_out_paths")
    return {name: getattr(artifact, name) for name in names} | {
        name: value for name in parts if (value := getattr(artifact, name))
    }
