"""
The kinds of line that a journal has, and the states of a run. Names are in people's files: they may be added, never
changed.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = 1

SEGMENT: Final = "segment"
#: The first line of a file that contains many segments.
FOLDED: Final = "folded"
START: Final = "start"
LOG: Final = "log"
METRICS: Final = "metrics"
PARAMS: Final = "params"
TAGS: Final = "tags"
DEFINE: Final = "define"
ARTIFACT: Final = "artifact"
ATTACH: Final = "attach"
GAP: Final = "gap"
DAMAGED: Final = "damaged"
REWIND: Final = "rewind"
END: Final = "end"

#: Statuses of an end record; users may give other words.
COMPLETED: Final = "completed"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"
#: A signal said that the machine is needed for something else.
PREEMPTED: Final = "preempted"
#: A trial that its study stopped because others are better.
PRUNED: Final = "pruned"
#: SystemExit ended the process, with an unknown code.
EXITED: Final = "exited"

#: States of a run without an end record; unreadable if it may have one in a file that cannot be read.
RUNNING: Final = "running"
CRASHED: Final = "crashed"
UNREADABLE: Final = "unreadable"
#: None of them is allowed in an end record.
NO_ENDS: Final = frozenset({RUNNING, CRASHED, UNREADABLE})
