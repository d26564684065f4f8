"""The kinds of line that a journal has. Written into files: a name is never changed, only added."""

from __future__ import annotations

from typing import Final

FORMAT: Final = 1

SEGMENT: Final = "segment"
START: Final = "start"
LOG: Final = "log"
METRICS: Final = "metrics"
PARAMS: Final = "params"
TAGS: Final = "tags"
ARTIFACT: Final = "artifact"
GAP: Final = "gap"
END: Final = "end"
