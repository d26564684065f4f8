"""The types of fixtures that tests of several files take."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from refunc.logging.active.run import ActiveRun

#: Gives the calls that a probe wrote down, of one hook or of all.
Calls = Callable[..., list[dict[str, Any]]]
#: Runs code to its end, and gives its exit code, output and errors.
Finished = Callable[..., tuple[int, str, str]]
#: Starts code as a process.
Running = Callable[..., subprocess.Popen[str]]
#: Makes a run with integrations and some lines, of which none has been delivered, and ends it.
MakeWaiting = Callable[..., ActiveRun]
#: Gives the messages of the lines that a probe got.
Arrived = Callable[[], list[str]]
#: Gives the one line that a command printed.
OneLine = Callable[[Any], str]
