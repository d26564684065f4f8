"""Everything about one run but its points and lines."""

from __future__ import annotations

import os
from contextlib import suppress
from heapq import nsmallest
from itertools import islice
from typing import Any, Final

from refunc.delivery.custody import load_cursor
from refunc.delivery.waiting import health_at, is_done_at
from refunc.journal.folder import DELIVERY
from refunc.journal.record import Attach
from refunc.runs.line_records import records_without_metrics
from refunc.runs.origin import origin_of
from refunc.runs.run import Run
from refunc_ui.answers import AskedWronglyError
from refunc_ui.asked import Asked
from refunc_ui.held import Held

_MOST_METRICS: Final = 2_000
_MOST_ARTIFACTS: Final = 2_000
_MOST_CHILDREN: Final = 200
_MOST_INTEGRATIONS: Final = 50
#: The first records of a run, among which those of its integrations are: they are attached as it starts.
_FIRST_RECORDS: Final = 2_000
_SUFFIX: Final = ".json"


def one_run(held: Held, asked: Asked) -> dict[str, Any]:
    """Return the facts of the run that *asked* names, as `refunc show --json` has them, and more."""
    name = named(asked)
    with held.opened(name) as run:
        found = run.to_dict(metrics=False)
        metrics = run.summary.metrics
        listed = nsmallest(_MOST_METRICS, metrics)
        found["metrics"] = {metric: metrics[metric].to_dict() for metric in listed}
        found["more_metrics"] = len(metrics) - len(listed)
        found["more_artifacts"] = max(0, len(found["artifacts"]) - _MOST_ARTIFACTS)
        found["artifacts"] = found["artifacts"][:_MOST_ARTIFACTS]
        found["left_out_told"] = list(run.summary.left_out.told())
        found["annotations_problem"] = run.annotations.problem
        found["delivery"] = _deliveries(run)
        found["links"] = {
            **origin_of(run),
            "parent": _link(held, run.parent_id),
            "children": [each.name for each in held.entries().runs if each.run.parent_id == run.run_id][
                :_MOST_CHILDREN
            ],
        }
    return {"id": name, **found}


def named(asked: Asked) -> str:
    """Return the name of the run that a request is about. Raises AskedWronglyError."""
    name = asked.text("run")
    if name is None:
        raise AskedWronglyError("run: name a run.")
    return name


def _link(held: Held, run_id: str | None) -> str | None:
    """Return the name of the run with this id in addresses, if the store has it."""
    if run_id is None:
        return None
    with suppress(AskedWronglyError):
        return held.id_of(held.run(run_id))
    return None


def _deliveries(run: Run) -> list[dict[str, Any]]:
    """Return how far the run is delivered to each integration: those of its cursors, then those that have not begun."""
    begun = {found["name"]: found for key in _cursors(run) if (found := _delivery(run, key)) is not None}
    others = ({"name": name, "state": "not begun"} for name in _attached(run) if name not in begun)
    return list(islice((*begun.values(), *others), _MOST_INTEGRATIONS))


def _cursors(run: Run) -> list[str]:
    """Return the keys of the integrations that have a cursor."""
    with suppress(OSError):
        names = sorted(os.listdir(run.folder / DELIVERY))
        keys = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX) and not name.startswith(".")]
        return keys[:_MOST_INTEGRATIONS]
    return []


def _delivery(run: Run, key: str) -> dict[str, Any] | None:
    with suppress(Exception):  # a file of someone else
        cursor = load_cursor(run.folder, key, key)
        if cursor.started or cursor.positions:
            health = health_at(cursor)
            return {
                "name": key,
                "state": health.state,
                "delivered": health.delivered,
                "waiting": health.waiting,
                "dead": health.dead,
                "is_done": is_done_at(cursor),
                "last_error": health.last_error,
            }
    return None


def _attached(run: Run) -> list[str]:
    """Return the keys of the integrations that the run was started with, as its journal names them."""
    with suppress(OSError):
        records = islice(records_without_metrics(run.folder), _FIRST_RECORDS)
        return list(dict.fromkeys(record.key for record in records if isinstance(record, Attach)))
    return []
