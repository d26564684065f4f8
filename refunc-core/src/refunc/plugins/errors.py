"""
What can go wrong with a plugin, in one tree each.

    ConfigurationError (ValueError)     a user's mistake: raised at once, in the caller
    └── NotConfigured                   something is not set; `auto_configure_integrations` leaves the plugin out
    IntegrationNotInstalledError (ImportError)

    DeliveryError                       raised by a hook, to say what is to become of its records
    ├── Retry                           later, as often as it takes
    ├── Reject                          never: the record is dead-lettered
    └── Pause                           not before somebody mends the credentials
"""

from __future__ import annotations


class ConfigurationError(ValueError):
    """An option that is unknown, missing or malformed; the text names the plugin, the option and what is expected."""


class NotConfigured(ConfigurationError):
    """What the plugin needs is not set; the text says what to set."""


class IntegrationNotInstalledError(ImportError):
    """An integration whose distribution is not installed; the text says what to install."""


class DeliveryError(Exception):
    """What a hook raises to say what is to become of its records."""


class Retry(DeliveryError):
    """
    The backend cannot take the records now: deliver them again, for as long as it takes.

    Args:
        after: Seconds that the backend asked to be left alone (HTTP's Retry-After); else a jittered back-off decides.
    """

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Reject(DeliveryError):
    """
    The backend will never take this record: it is dead-lettered, and delivery goes on behind it.

    Raised for several records at once, it is asked again for parts of them, until the ones that are meant are found.
    """


class Pause(DeliveryError):
    """The backend refuses everything, as with wrong credentials: nothing is dead-lettered, one call a minute asks."""
