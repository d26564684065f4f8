"""Turning failed requests into errors for delivery."""

from __future__ import annotations

import re

from refunc.plugins import DeliveryError, Pause, Reject, Retry

_DENIED = frozenset({401, 403})
_LATER = frozenset({408, 425, 429})


def told(error: Exception) -> BaseException:
    """
    Return the error for delivery that corresponds to the client's *error*.

    401 and 403 pause, and so does a redirect, which the client does not follow. Requests that the server, a local store
    or the client itself calls invalid are rejected, and all others are retried: a missing answer arrives here as an
    MlflowException with the status 500, and so do a failure of the server and a 429. The client does not pass on
    Retry-After, so delivery's back-off decides.
    """
    if isinstance(error, (DeliveryError, OSError)):
        return error
    ask = getattr(error, "get_http_status_code", None)
    if not callable(ask):
        return error
    # If the answer is not JSON, `ask` knows few statuses.
    said = re.search(r"failed with error code (\d+)", str(error))
    status = int(said[1]) if said else int(str(ask()))
    if status >= 500 and said is None and not hasattr(error, "json"):  # an answer of the server has it
        first = _first(error)
        return Retry(f"MLflow cannot be reached: {type(first).__name__}: {first}")
    text = " ".join(str(error).split())[:300]
    if status in _DENIED:
        return Pause(f"HTTP {status}: {text}. Set MLFLOW_TRACKING_USERNAME and _PASSWORD, or MLFLOW_TRACKING_TOKEN.")
    if 300 <= status < 400:
        return Pause(
            f"HTTP {status}: the server redirects to another address. Set MLFLOW_TRACKING_URI to that address."
        )
    if 400 <= status < 500 and status not in _LATER:
        return Reject(f"HTTP {status}: {text}")
    return Retry(text)


def _first(error: BaseException) -> BaseException:
    """Return the first cause of an error: the client wraps a short connection error in five layers."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # ensured by the loop's condition
    return error
