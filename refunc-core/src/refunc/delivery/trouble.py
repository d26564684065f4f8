"""Warnings of delivery problems in the training, because the delivery process has no terminal."""

from __future__ import annotations

from collections.abc import Iterable

from refunc.delivery.pipe import Attachment
from refunc.outlets.foreign import own_logger

#: The warnings for the states of a cursor.
TROUBLE = {
    "retrying": "does not accept records at present. They wait in the run; the training continues.",
    "paused": "refuses the credentials. Records wait in the run; the training continues.",
    "broken": "cannot be opened; it will be tried again. Records wait in the run; the training continues.",
    "stuck": "a call does not return. Records wait in the run; the training continues.",
    "quarantined": "delivery is stopped until `refunc sync` is run. Records wait in the run; the training continues.",
    "aside": "fails for some records but accepts others; the failed ones are tried again at the end of the run.",
    "refused": "refused some records for good; they are kept in the run's folder `delivery`.",
}

own_log = own_logger("refunc.delivery")


class Trouble:
    """The problems of integrations. A warning is given once for each kind and integration."""

    def __init__(self) -> None:
        #: By key: the problem at the last check, and the warnings that were given.
        self._seen: dict[str, set[str]] = {}
        self._told: dict[str, set[str]] = {}

    def look(self, attachments: Iterable[Attachment]) -> None:
        """Warn of a problem of the last of each integration's *attachments*."""
        for key, attachment in {each.passport.key: each for each in attachments}.items():
            cursor = attachment.cursor()
            kinds = {cursor.state} | ({"refused"} if cursor.dead else set()) | ({"aside"} if cursor.aside else set())
            # An outage of seconds is not worth a warning: it has to last for two checks.
            lasting = kinds - {"retrying"} | (kinds & self._seen.get(key, set()))
            self._seen[key] = kinds
            for kind in sorted(lasting & TROUBLE.keys() - self._told.setdefault(key, set())):
                self._told[key].add(kind)
                own_log.warning("%s: %s (%s)", attachment.passport.name, TROUBLE[kind], cursor.last_error)
