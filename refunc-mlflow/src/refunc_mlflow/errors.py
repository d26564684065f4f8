"""What a failed request means for the records in it."""

from __future__ import annotations

import re

from refunc.plugins import Pause, Reject, Retry
from refunc.plugins.errors import DeliveryError

_DENIED = frozenset({401, 403})
_LATER = frozenset({408, 425, 429})


def told(error: Exception) -> BaseException:
    """
    Return what delivery is to be told of *error*, which the client raised.

    401 and 403 pause, what the server calls the request's own fault rejects, all else is tried again: no answer at all
    reaches here as an MlflowException with the status 500, as a server's own failure and a 429 do; the client keeps its
    Retry-After to itself, so delivery's back-off decides.
    """
    if isinstance(error, (DeliveryError, OSError)):
        return error
    ask = getattr(error, "get_http_status_code", None)
    if not callable(ask):
        return error
    # Where the answer is no JSON, `ask` knows few of them.
    said = re.search(r"failed with error code (\d+)", str(error))
    status = int(said[1]) if said else int(str(ask()))
    if said is None and not hasattr(error, "json"):  # what the server itself says has it
        first = _first(error)
        return Retry(f"MLflow cannot be asked: {type(first).__name__}: {first}")
    text = " ".join(str(error).split())[:300]
    if status in _DENIED:
        return Pause(f"HTTP {status}: {text}. Set MLFLOW_TRACKING_USERNAME and _PASSWORD, or MLFLOW_TRACKING_TOKEN.")
    if 400 <= status < 500 and status not in _LATER:
        return Reject(f"HTTP {status}: {text}")
    return Retry(text)


def _first(error: BaseException) -> BaseException:
    """Return what an error began with: below the client's five layers of connection errors stands one that is short."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # the loop's condition says so
    return error
