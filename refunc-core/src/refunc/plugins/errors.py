"""
The errors of plugins.

    ConfigurationError (ValueError)     a user's mistake: raised at once, in the caller
    └── NotConfigured                   something is not set; `auto_configure_integrations` leaves the plugin out
    IntegrationNotInstalledError (ImportError)

    DeliveryError                       raised by a hook, to decide about its records
    ├── Retry                           later, as often as it takes
    ├── Reject                          never: the record is dead-lettered
    └── Pause                           not until the credentials are fixed

    HookError (TypeError)               a hook that breaks the contract; the integration is stopped
"""

from __future__ import annotations


class ConfigurationError(ValueError):
    """An option is unknown, missing or malformed; the text names the plugin, the option and the expected value."""


class NotConfigured(ConfigurationError):
    """A required option is not set; the text says how to set it."""


class IntegrationNotInstalledError(ImportError):
    """An integration's distribution is not installed; the text says what to install."""


class HookError(TypeError):
    """A hook broke the contract; the text names the hook and the fix."""


class DeliveryError(Exception):
    """Raised by a hook to decide about its records."""


class Retry(DeliveryError):
    """
    The backend cannot accept the records now: deliver them again, for as long as it takes.

    Args:
        after: Seconds to wait that the backend asked for (HTTP's Retry-After); by default a jittered back-off.
    """

    def __init__(self, message: str = "", *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Reject(DeliveryError):
    """
    The backend will never accept this record: it is dead-lettered, and delivery continues after it.

    If it is raised for several records at once, the hook is called for parts of them until the refused ones are found.
    """


class Pause(DeliveryError):
    """The backend refuses everything, as with wrong credentials: nothing is dead-lettered, and retries are rare."""
