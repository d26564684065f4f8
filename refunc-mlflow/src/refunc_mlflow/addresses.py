"""Checking addresses of MLflow servers and stores."""

from __future__ import annotations

import re
from typing import Final

from refunc.plugins import ConfigurationError, check_url

#: Schemes of servers, which mlflow-skinny can reach.
_SERVERS: Final = ("http", "https", "databricks", "uc", "databricks-uc")
#: Schemes of stores that the full package opens; those of databases may include a driver, as in `mysql+pymysql`.
_STORES: Final = ("file", "sqlite", "postgresql", "mysql", "mssql")
_HOST_AND_PORT: Final = re.compile(r"(?:[^@/\s]*@)?[\w.\-]{2,}:\d{1,5}(?:/.*)?")


def is_remote(uri: str | None) -> bool:
    """Whether *uri* is that of a server, and not of a local store."""
    return uri is not None and (uri == "databricks" or _scheme(uri) in _SERVERS)


def check_address(uri: str) -> None:
    """
    Check that *uri* is the address of a server, a database or a folder.

    Raises:
        ConfigurationError: It is not, as `localhost:5000`; the text has the right spelling.
    """
    scheme = _scheme(uri)
    if scheme in ("http", "https") or not uri:
        check_url("mlflow", "tracking_uri", uri, ("http", "https"))
    elif _HOST_AND_PORT.fullmatch(uri):
        shown, meant = ("***", "http://host:5000") if "@" in uri else (repr(uri), f"http://{uri}")
        raise ConfigurationError(f"mlflow: tracking_uri is {shown}, which is not a valid address. Expected: {meant}.")
    elif "://" in uri and scheme not in (*_SERVERS, *_STORES) and not _is_of_a_plugin(uri.partition("://")[0]):
        shown = "***" if "@" in uri else repr(uri)
        raise ConfigurationError(
            f"mlflow: tracking_uri is {shown}, whose scheme MLflow does not know. "
            f"Expected: http://host, https://host, databricks, a database such as sqlite:///mlflow.db, or a folder."
        )


def _scheme(uri: str) -> str:
    return uri.partition(":")[0].partition("+")[0].lower() if ":" in uri else ""


def _is_of_a_plugin(scheme: str) -> bool:
    """Whether an installed package provides a store for *scheme*, by MLflow's entry points."""
    from importlib.metadata import entry_points

    return any(entry.name == scheme for entry in entry_points(group="mlflow.tracking_store"))
