"""Records as W&B wants them: rows, tags, config, artifact names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from refunc.plugins import Artifact, Metrics, RunInfo

#: Columns of each row: which record it is, and where the summary keeps the last of each writer.
RECORD: Final = "refunc/record"
PLACE: Final = "refunc/place"
MAX_TAG = 64


def row_of(record: Metrics) -> dict[str, Any]:
    """
    Return the row for *record*: its metrics, the user's step and epoch, its time and identity.

    Names that W&B keeps for itself, those with a leading `_`, get a `metric` before it.
    """
    row: dict[str, Any] = {
        name if not name.startswith("_") else f"metric{name}": value for name, value in record.metrics.items()
    }
    if record.step is not None:
        row["refunc/step"] = record.step
        row.setdefault("step", record.step)
    if record.epoch is not None:
        row.setdefault("epoch", record.epoch)
    row["_timestamp"] = record.time
    row[RECORD] = f"{record.writer}:{record.seq}"
    return row


def places_in(summary: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield each writer with the number of the last of its records that the summary of a W&B run knows."""
    for key, value in summary.items():
        if key.startswith(f"{PLACE}/") and isinstance(value, (int, float)):
            yield key.removeprefix(f"{PLACE}/"), int(value)
    # The last row is ahead of the places, which are set once a window.
    writer, _, seq = str(summary.get(RECORD, "")).rpartition(":")
    if writer and seq.isdigit():
        yield writer, int(seq)


def tag_of(name: str, value: str) -> str:
    """Return a tag as `name:value`, in at most the 64 characters that W&B takes."""
    whole = f"{name}:{value}" if value else name
    return whole if 0 < len(whole) <= MAX_TAG else f"{whole[: MAX_TAG - 1]}…"


def config_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return params as a config, whose keys are text."""
    return {str(name): value for name, value in params.items() if str(name)}


def artifact_name(run: RunInfo, record: Artifact) -> str:
    """Return a name of the characters that W&B allows, with the run's id, for names are the whole project's."""
    plain = re.sub(r"[^a-zA-Z0-9_.\-]", "-", record.name)[:80].strip("-") or "artifact"
    return f"{plain}-{run.run_id}"
