"""
The names that Prometheus accepts, and the respelling of others.

| kind | accepted | longest |
| --- | --- | --- |
| metrics | ASCII letters, digits and `_`; each other character becomes `_` | 200 |
| labels | every text; a longer one is cut | 500 |
| namespace, job | checked when the integration is made | |

Series of the run itself have reserved names (`RESERVED`). A name that is reserved, too long, or has characters other
than those, `/ - .` and space gets a hash appended. If two metrics of a run would share a name, the later one gets a
hash: a series never moves to another metric. The label `metric` has the name as it was logged.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from typing import Final

LONGEST_NAME, LONGEST_LABEL = 200, 500
RESERVED: Final = frozenset(
    {"run_info", "run_status", "run_start_time_seconds", "step", "epoch", "records_dropped_total", "log_lines_total"}
    | {"records_dropped", "log_lines", "run", "metrics_ignored", "metrics_ignored_total"}
)
_NOT_ALLOWED: Final = re.compile(r"[^a-zA-Z0-9_]")
_PLAIN: Final = re.compile(rf"[a-zA-Z0-9_/\-. ]{{1,{LONGEST_NAME}}}")


def name_of(metric: str, taken: Collection[str] = ()) -> str:
    """
    Return *metric* as a part of a Prometheus name that is not *taken*: `train/loss` is `train_loss`.

    Without *taken* names it depends only on the name, so a restart changes no series.
    """
    plain = _NOT_ALLOWED.sub("_", metric)
    if _PLAIN.fullmatch(metric) and plain not in RESERVED and plain not in taken:
        return plain
    # Of the name as in a journal, which has no lone surrogates.
    digest = hashlib.sha256(metric.encode("utf-8", "backslashreplace")).hexdigest()
    names = (f"{plain[: LONGEST_NAME - 7]}_{digest[:length]}" for length in range(6, len(digest) + 1))
    return next(name for name in names if name not in taken)
