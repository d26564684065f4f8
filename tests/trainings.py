"""A training that runs the lines of a test: a process of its own that has a run open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs

#: Opens a run, says its id and its folder, and then runs each line that it gets until it is killed or its stdin ends.
_SCRIPT = """
import sys
from refunc.logging import ExperimentTracker
tracker = ExperimentTracker("live", sys.argv[1])
tracker.start_run()
print(tracker.run_id, tracker.folder, flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
tracker.end_run()
"""


@attrs.define
class Training:
    """A process that has a run open, whose tracker is `tracker` in the lines that it gets."""

    process: subprocess.Popen[str]
    id: str
    folder: Path

    @classmethod
    def start(cls, store: Path, name: str = "training") -> Training:
        """Start one whose run is in *store*."""
        process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "REFUNC_DIR": str(store), "REFUNC_QUIET": "1"},
        )
        assert process.stdout
        run_id, _, folder = process.stdout.readline().strip().partition(" ")
        return cls(process, run_id, Path(folder))

    def tell(self, statement: str) -> None:
        """Have it execute one line of Python."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def kill(self) -> None:
        """Kill it with -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def finish(self) -> None:
        """Let it end its run and exit."""
        self.process.communicate(timeout=20)
        assert self.process.returncode == 0

    def close(self) -> None:
        """Kill it if it still runs, and close its pipes."""
        self.process.kill()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
