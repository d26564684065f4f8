"""A rank that logs a metric and, in as many attempts as the command says, dies."""

from __future__ import annotations

import os
import sys

from refunc.logging import experiment_context

attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
with experiment_context("line") as run:
    run.log_metrics({"attempt": attempt}, step=attempt)
    run.flush()
    if attempt < int(sys.argv[1]):
        os._exit(1)
