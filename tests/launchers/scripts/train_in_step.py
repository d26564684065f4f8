"""One step of a job: to step 10, or, if the file `hold` is there, until it is killed at step 5."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from refunc.logging import experiment_context

restart = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
with experiment_context("line", run_name=sys.argv[1]) as run:
    for step in range(10):
        run.log_metrics({"restart": restart}, step=step)
        if step == 5 and sys.argv[1] != "short" and Path("hold").exists():
            run.flush()
            Path(f"{sys.argv[1]}.{os.environ['SLURM_PROCID']}.holds").touch()
            signal.pause()
