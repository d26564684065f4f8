"""Curves: the points of one metric in several runs, thinned out for the range that a chart shows, as columns."""

from __future__ import annotations

from refunc.journal.opening import NoDescriptorError
from refunc_ui.bands import grouped
from refunc_ui.held import Held
from refunc_ui.made_curves import Made
from refunc_ui.wanted_curves import Wanted


def curves(held: Held, wanted: Wanted) -> bytes:
    """Return the curves as a header and columns; see `answers.framed`."""
    if wanted.groups:
        return grouped(held, wanted)
    made = Made(wanted)
    for name in wanted.runs:
        with held.opened(name) as run:
            try:
                if wanted.metric in run.content().summary.metrics:
                    made.add_run(held, name, run)
            except NoDescriptorError:
                raise
            except Exception as error:  # one damaged run must not hide the others
                made.problems.append({"run": name, "error": str(error)})
    return made.framed()
