"""A rank that logs a metric and two lines, in as many runs as the command says."""

from __future__ import annotations

import sys

from refunc.logging import experiment_context, get_logger, launch_rank

log, own = get_logger("train"), launch_rank() or 0
for number in range(int(sys.argv[1])):
    with experiment_context("line") as run:
        run.log_metrics({"number": number, "rank": own}, step=number)
        log.info("INFO of rank %d", own)
        log.warning("WARNING of rank %d", own)
