"""What a training is told of trouble with delivery, which the process without a terminal cannot say."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from refunc.delivery.pipe import Attachment

#: What is said of the states of a cursor.
TROUBLE = {
    "retrying": "does not take records at present. They wait in the run, the training goes on.",
    "paused": "refuses the credentials. Records wait in the run, the training goes on.",
    "broken": "cannot be opened; it is tried again. Records wait in the run, the training goes on.",
    "stuck": "a call does not return. Records wait in the run, the training goes on.",
    "quarantined": "is left alone until `refunc sync`. Records wait in the run, the training goes on.",
    "refused": "does not take some records at all; they are kept in the run's folder `delivery`.",
}

report = logging.getLogger("refunc.delivery")


class Trouble:
    """The trouble that integrations have. It is said once for each kind and integration."""

    def __init__(self) -> None:
        #: By key: what trouble there was at the last look, and what was told.
        self._seen: dict[str, set[str]] = {}
        self._told: dict[str, set[str]] = {}

    def look(self, attachments: Iterable[Attachment]) -> None:
        """Say what is the matter with the last of each integration's *attachments*."""
        for key, attachment in {each.passport.key: each for each in attachments}.items():
            cursor = attachment.cursor()
            kinds = {cursor.state} | ({"refused"} if cursor.dead else set())
            # An outage of seconds is nobody's business: it has to be there at two looks.
            lasting = kinds - {"retrying"} | (kinds & self._seen.get(key, set()))
            self._seen[key] = kinds
            for kind in sorted(lasting & TROUBLE.keys() - self._told.setdefault(key, set())):
                self._told[key].add(kind)
                report.warning("%s: %s (%s)", attachment.passport.name, TROUBLE[kind], cursor.last_error)
