"""The kinds of line that a journal has, and the states of a run. A name is in people's files: added, never changed."""

from __future__ import annotations

from typing import Final

FORMAT: Final = 1

SEGMENT: Final = "segment"
START: Final = "start"
LOG: Final = "log"
METRICS: Final = "metrics"
PARAMS: Final = "params"
TAGS: Final = "tags"
DEFINE: Final = "define"
ARTIFACT: Final = "artifact"
ATTACH: Final = "attach"
GAP: Final = "gap"
END: Final = "end"

#: What an end record says of itself; users may say other words.
COMPLETED: Final = "completed"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"

#: What a run without an end record is; unreadable where it may have one, in a file that cannot be read.
RUNNING: Final = "running"
CRASHED: Final = "crashed"
UNREADABLE: Final = "unreadable"
