"""The errors that W&B's client has names for. `wandb.errors` and `wandb.sdk` have them under the same names."""

from __future__ import annotations


class Error(Exception):
    """A call that needs an open run, without one."""


class UsageError(Error):
    """Arguments of `init`, or a name of an artifact, that have no answer."""


class CommError(Error):
    """Never raised: there is no server. It is here for `except wandb.CommError`."""


class ConfigError(Error):
    """A value of the config that is changed without `allow_val_change=True`."""
