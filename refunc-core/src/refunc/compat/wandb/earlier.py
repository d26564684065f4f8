"""The values that earlier attempts of a run have recorded: `resume=` goes on from there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from refunc.runs import Run


@attrs.frozen
class Earlier:
    """The values that a new attempt takes from those before."""

    is_there: bool = False
    next_step: int = 0
    config: dict[str, Any] = attrs.Factory(dict)
    summary: dict[str, Any] = attrs.Factory(dict)

    @classmethod
    def of(cls, run: Run, rewound_to: int | None) -> Earlier:
        """Return the values that *run* has by now; its rows after the step *rewound_to* do not count."""
        summary = run.summary
        steps = [int(metric.last_step) for metric in summary.metrics.values() if metric.last_step is not None]
        last = max(steps, default=-1) if rewound_to is None else rewound_to
        values = {name: metric.last for name, metric in summary.metrics.items()}
        return cls(True, last + 1, dict(summary.params), {**values, **summary.results})


def runs_in(store: Path | None) -> list[Run]:
    """Return the runs of a store, oldest first; none if it does not exist yet."""
    from refunc.runs import open_store

    found = open_store(store)
    return found.runs() if found.path.is_dir() else []


def run_of(store: Path | None, run_id: str) -> Run | None:
    """Return the run with that id; None if the store has none."""
    from refunc.runs import Run, open_store

    direct = open_store(store).path / run_id
    if (direct / "run.json").is_file():  # where a run that was given its id is
        return Run.open(direct)
    return next((run for run in runs_in(store) if run.run_id == run_id), None)
