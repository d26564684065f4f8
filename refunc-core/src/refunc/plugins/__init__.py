"""
The parts of a plugin: hooks, options, and the exceptions by which a hook reports a failure.

    from refunc.plugins import Integration, hookimpl, option

    class PrinterIntegration(Integration):
        prefix: str = option(default="> ", help="The prefix of each line.")

        @hookimpl
        def on_log(self, run, records):
            for record in records:
                print(self.prefix, record.message)

A plain class with hooks is a plugin too; deriving from `Integration` gives it options that are checked, read from the
environment, and masked if they are secret. See `docs/how-to/write-a-plugin.md`.

    discovery    finding plugins, and their states
    errors       the errors, in one tree
    files        plugins that are one file
    hooks        the hooks: one table
    integration  the base class with options
    judgement    classifying errors of hooks
    names        respelling names for a tracker
    naming       the name of an integration
    options      options: their sources, and checking them
    run          a run as hooks see it
    testing      the test kit for plugins
"""

from refunc.journal.record import Artifact, LogLine, Metrics, Params, Record, RunEnd, Tags
from refunc.plugins.errors import ConfigurationError, DeliveryError, NotConfigured, Pause, Reject, Retry
from refunc.plugins.hooks import hookimpl
from refunc.plugins.integration import Delivery, Health, Integration
from refunc.plugins.names import Spelling, text_of
from refunc.plugins.options import FROM_ENV, check_url, option
from refunc.plugins.run import RunInfo, StoredFile
from refunc.values.secrets import without_secrets

__all__ = [
    "FROM_ENV",
    "Artifact",
    "ConfigurationError",
    "Delivery",
    "DeliveryError",
    "Health",
    "Integration",
    "LogLine",
    "Metrics",
    "NotConfigured",
    "Params",
    "Pause",
    "Record",
    "Reject",
    "Retry",
    "RunEnd",
    "RunInfo",
    "Spelling",
    "StoredFile",
    "Tags",
    "check_url",
    "hookimpl",
    "option",
    "text_of",
    "without_secrets",
]
