"""Turning failed calls of the client into errors for delivery."""

from __future__ import annotations

import re
from typing import Any

from refunc.plugins import DeliveryError, Pause, Reject, Retry


def told(error: Exception, kinds: Any) -> DeliveryError | None:
    """
    Return the error for delivery that corresponds to the client's *error*; None for an error of another kind.

    Args:
        kinds: The module `wandb.errors`.
    """
    if isinstance(error, kinds.AuthenticationError):
        return Pause(f"{error}. Set WANDB_API_KEY.")
    if isinstance(error, kinds.CommError):
        if re.search(r"\b40[13]\b", str(error)):  # as a word: a port may begin with these digits
            return Pause(f"{error}. Set WANDB_API_KEY.")
        return Retry(str(error))
    if isinstance(error, kinds.UsageError):
        return Reject(str(error))
    if isinstance(error, kinds.Error) or str(error).endswith(" is in use"):  # by a run that is still being finished
        return Retry(str(error))
    return None
