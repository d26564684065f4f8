"""Records in W&B's forms: rows, config, metadata."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from refunc.plugins import Artifact, Metrics, text_of
from refunc_wandb.names import metric_of, param_of

#: Columns of each row: the identity of its record, and the place in the summary for the last record of each writer.
RECORD: Final = "refunc/record"
PLACE: Final = "refunc/place"
#: The prefix of config keys with the originals of respelt names.
NAME: Final = "refunc/name/"
#: The most keys of an artifact's metadata, including two of refunc's own.
MAX_METADATA: Final = 100


def row_of(record: Metrics) -> dict[str, Any]:
    """Return the row for *record*: its metrics, the user's step and epoch, its time and identity."""
    row: dict[str, Any] = {metric_of(name): value for name, value in record.metrics.items()}
    if record.step is not None:
        row["refunc/step"] = record.step
        row.setdefault("step", record.step)
    if record.epoch is not None:
        row.setdefault("epoch", record.epoch)
    row["_timestamp"] = record.time
    row[RECORD] = f"{record.writer}:{record.seq}"
    return row


def places_in(summary: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield each writer with the number of its last record in the summary of a W&B run."""
    for key, value in summary.items():
        if key.startswith(f"{PLACE}/") and isinstance(value, (int, float)):
            yield key.removeprefix(f"{PLACE}/"), int(value)
    # The last row is ahead of the places, which are set once per window.
    writer, _, seq = str(summary.get(RECORD, "")).rpartition(":")
    if writer and seq.isdigit():
        yield writer, int(seq)


def rows_in(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows in the folder of an offline delivery, as far as its files can be read."""
    from refunc_commands.importing.wandb import rows_of

    for file in folder.glob("*.wandb"):
        try:
            yield from rows_of(file)
        except Exception:  # the files' format is W&B's own: rows that cannot be read are sent again
            continue


def config_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return params as a config, with the originals of respelt names."""
    config = {param_of(str(name)): _taken(value) for name, value in params.items()}
    return config | named(param_of.originals(map(str, params)))


def summary_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return results in the form of the summary."""
    return {metric_of(name): _taken(value) for name, value in values.items()}


def metadata_of(record: Artifact, originals: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata of an artifact, with the *originals* of its own name and type."""
    metadata = {name: _finite(_taken(value)) for name, value in record.metadata.items()}
    if len(metadata) + len(originals) > MAX_METADATA:
        metadata = {"metadata": json.dumps(metadata)}
    return metadata | named(originals)


def named(originals: Mapping[str, str]) -> dict[str, str]:
    """Return the config's entries for respelt names."""
    return {f"{NAME}{mark}": text_of(name) for mark, name in originals.items()}


def _taken(value: Any) -> Any:
    """Return *value* without parts that W&B cannot encode or would interpret as references."""
    if isinstance(value, str):
        return text_of(f" {value}" if value.startswith("wandb-artifact://") else value)
    if isinstance(value, Mapping):
        items = cast("Mapping[object, Any]", value).items()
        taken = {text_of(str(name)): _taken(each) for name, each in items}
        return json.dumps(taken) if taken.get("_type") == "artifactVersion" else taken
    if isinstance(value, (list, tuple)):
        return [_taken(each) for each in cast("Sequence[Any]", value)]
    return value


def _finite(value: Any) -> Any:
    """Return *value* with NaN and infinities as texts, because metadata cannot have them."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return list(map(_finite, value))  # pyright: ignore[reportUnknownArgumentType]  # to mypy a cast is redundant
    return value
