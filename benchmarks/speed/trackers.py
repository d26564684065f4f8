"""Integrations that take everything at once and keep none of it, so that delivery alone is measured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from refunc.plugins import Integration, hookimpl, option


class FirstIntegration(Integration):
    """Notes how old records are when they come, in a file of its working folder when it is closed."""

    notes: str = option(default="", help="The file for the ages; none are kept without.")

    def open(self) -> None:
        self._ages: list[float] = []
        self._count = 0

    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        self._count += len(records)
        if self.notes:
            now = time.time()
            self._ages += [now - record.time for record in records if record.step]  # 0 waits for delivery to start

    @hookimpl
    def on_run_end(self, run: Any, record: Any) -> None:
        if self.notes:
            ages = sorted(self._ages)
            said = [ages[len(ages) // 2], ages[int(len(ages) * 0.99)], ages[-1], len(ages)]
            draft = Path(self.notes + ".new")
            draft.write_text(" ".join(map(str, said)))
            draft.rename(self.notes)


class SecondIntegration(FirstIntegration):
    """Another one."""


class ThirdIntegration(FirstIntegration):
    """Another one."""


class FourthIntegration(FirstIntegration):
    """Another one."""


FOUR = (FirstIntegration, SecondIntegration, ThirdIntegration, FourthIntegration)
