"""
Scripts in processes that find their framework imported: to import torch or Keras takes seconds of a processor.

One process imports the modules that are asked for, and forks for each script, which then runs as with `python SCRIPT`.
It imports nothing of refunc, and starts no thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_FORKING = """
import importlib, json, os, sys, threading
for line in sys.stdin:
    job = json.loads(line)
    for name in job["modules"]:
        importlib.import_module(name)
    assert threading.active_count() == 1, "a child would lack the other threads"
    assert not any(name.partition(".")[0] == "refunc" for name in sys.modules)
    pid = os.fork()
    if pid == 0:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    sys.exit()
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
os.dup2(os.open(job["errors"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
os.chdir(os.path.dirname(job["script"]))
os.environ.clear()
os.environ.update(job["environment"])
sys.argv[:] = [os.path.basename(job["script"])]
sys.path[0] = os.getcwd()
import runpy
runpy.run_path(job["script"], run_name="__main__")
"""


class Warm:
    """The process that imports, and forks."""

    def __enter__(self) -> Warm:
        # One thread of OpenMP: a child cannot use those that its parent has started.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-c", _FORKING]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def run(self, script: Path, modules: Sequence[str]) -> str:
        """Run a script in its folder, with these modules imported; return its text on stderr."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        errors = script.with_suffix(".stderr")
        job = {"script": str(script), "modules": modules, "errors": str(errors), "environment": dict(os.environ)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code = self._process.stdout.readline()
        assert code, "the process that forks has ended; its errors are among those of this test run"
        said = errors.read_text("utf-8")
        assert int(code) == 0, f"{script.name}:\n{said}"
        return said
