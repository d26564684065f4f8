"""An integration that logs in its own hook."""

import itertools
import logging

from probes import ProbeIntegration, hookimpl

from refunc.logging import MLLogger

log = MLLogger("tracker", "ERROR")
log.handlers[0].setLevel(100)  # no console
numbers = itertools.count()


class ChattyIntegration(ProbeIntegration):
    """Logs in its own hook, into the run that it is called for where it lives in the training's process."""

    @hookimpl
    def on_metrics(self, run, records):
        self.note("metrics", steps=[r.step for r in records if "main" in r.metrics])
        log.log_metrics({"hook": next(numbers)})
        log.error("from the hook")
        log.info("%d records", len(records))
        logging.getLogger("somebody.else").warning("from the hook")
        log.flush()
        log.flush(sync=True)
