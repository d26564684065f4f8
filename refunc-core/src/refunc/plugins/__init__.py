"""
What a plugin is made of: hooks, options, and the words with which a hook says how it failed.

    from refunc.plugins import Integration, hookimpl, option

    class PrinterIntegration(Integration):
        prefix: str = option(default="> ", help="What each line begins with.")

        @hookimpl
        def on_log(self, run, records):
            for record in records:
                print(self.prefix, record.message)

A plain class with hooks is a plugin too; deriving from `Integration` gives it options that are checked, read from the
environment, and masked where they are secret. `docs/how-to/write-a-plugin.md` has the whole story.
"""

from refunc.journal.record import Artifact, LogLine, Metrics, Params, Record, RunEnd, Tags
from refunc.journal.secrets import without_secrets
from refunc.plugins.errors import ConfigurationError, NotConfigured, Pause, Reject, Retry
from refunc.plugins.hooks import hookimpl
from refunc.plugins.integration import Health, Integration
from refunc.plugins.options import FROM_ENV, option
from refunc.plugins.run import RunInfo, StoredFile

__all__ = [
    "FROM_ENV",
    "Artifact",
    "ConfigurationError",
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
    "StoredFile",
    "Tags",
    "hookimpl",
    "option",
    "without_secrets",
]
