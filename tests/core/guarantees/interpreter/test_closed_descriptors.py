"""A program that was started with standard descriptors closed: no file of refunc takes their numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from refunc.runs.store import open_store

pytestmark = [pytest.mark.once, pytest.mark.skipif(os.name == "nt", reason="closes descriptors as a shell of POSIX")]

NOISE = b"a line of a C library"
#: At each point, all three descriptors are written to, as a library, an extension or a child of the program may.
SCRIPT = f"""
import os, sys
from probes import ProbeIntegration
from refunc.logging import MLLogger, experiment_context
log = MLLogger("train")
def library():
    for number in (0, 1, 2):
        try: os.write(number, {NOISE!r})
        except OSError: pass

names = [f"/proc/self/fd/{{number}}" for number in sys.argv[1]]
log.add_integration(ProbeIntegration())
with experiment_context("exp", "run") as run:
    library()
    log.log_metrics({{"loss": 1.0}}, step=1); log.flush()
    library()
    log.log_artifact("model.txt", copy=True)
    log.log_metrics({{"loss": 0.5}}, step=2); log.flush()
    library()
    log.log_hyperparams({{"taken": [os.readlink(name) for name in names if os.path.lexists(name)]}})
"""


def test_no_file_of_refunc_takes_their_numbers_and_delivery_begins(
    probes: Any, own_folder: Path, calls: Callable[..., Any], tools: Any
) -> None:
    started = {}
    for closed in map("".join, product(*[("", number) for number in "012"])):
        folder = own_folder / f"closed-{closed}"
        folder.mkdir()
        (folder / "script.py").write_text(SCRIPT)
        (folder / "model.txt").write_text("weights")
        (folder / "probes.py").write_bytes((own_folder / "probes.py").read_bytes())
        redirections = " ".join(f"{number}>&-" for number in closed)
        started[folder] = subprocess.Popen(
            ["sh", "-c", f'exec "$0" script.py "{closed}" {redirections}', sys.executable],
            cwd=folder,
            env={**os.environ, "REFUNC_EXIT_WAIT": "30"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    for folder, process in started.items():
        assert process.wait(60) == 0, folder.name
        assert calls("end", f"{folder.name}/calls.jsonl"), folder.name
        [run] = open_store(folder / "experiments")
        assert (run.status, run.params["taken"], run.glance().metrics) == ("completed", [], {"loss": 0.5}), folder.name
        files = tools.left_in(folder)
        assert [path.name for path, content in files.items() if NOISE in content and path.suffix != ".py"] == []
