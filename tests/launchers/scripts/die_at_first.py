"""A rank that logs a metric and, in as many attempts as the command says, dies once all ranks have logged theirs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from refunc.logging import experiment_context

attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
with experiment_context("line") as run:
    run.log_metrics({"attempt": attempt}, step=attempt)
    run.flush()
    if attempt < int(sys.argv[1]):
        # The first rank that dies has torchrun end the others.
        logged = Path(f"logged.{os.environ['TORCHELASTIC_RUN_ID']}.{os.getppid()}")
        logged.mkdir(exist_ok=True)
        (logged / os.environ["RANK"]).touch()
        while len(os.listdir(logged)) < int(os.environ["WORLD_SIZE"]):
            time.sleep(0.01)
        os._exit(1)
