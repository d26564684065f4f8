"""MLflow's client, set up for delivery by variables that the user has not set."""

from __future__ import annotations

import os
from typing import Any

#: Limits the client's own retries, so that delivery decides: its default would block a call for four minutes.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
#: A redirect must not be followed: the call would become a GET, and its answer would count as a success.
_STAYS = {"MLFLOW_ALLOW_HTTP_REDIRECTS": "false"}
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


def client_of(tracking_uri: str | None) -> tuple[Any, Any]:
    """Return a client, and the module with the classes of its arguments; no request is made."""
    for name, value in {**_PATIENCE, **_STAYS, **_QUIET}.items():
        os.environ.setdefault(name, value)
    import mlflow.entities
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri), mlflow.entities
