"""Checking addresses of MLflow servers and stores."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Final

from refunc.plugins import ConfigurationError, NotConfigured, check_url, without_secrets

#: MLflow's store where no address is given.
DEFAULT: Final = "sqlite:///mlflow.db"
#: Schemes of servers, which mlflow-skinny can reach.
_SERVERS: Final = ("http", "https", "databricks", "uc", "databricks-uc")
#: Schemes of stores that the full package opens; those of databases may include a driver, as in `mysql+pymysql`.
_STORES: Final = ("file", "sqlite", "postgresql", "mysql", "mssql")
_HOST_AND_PORT: Final = re.compile(r"(?:[^@/\s]*@)?[\w.\-]{2,}:\d{1,5}(?:/.*)?")


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


def check_store(uri: str | None) -> None:
    """
    Check that the installed packages can open the store at *uri*.

    Raises:
        NotConfigured: It is a local one, and the package that opens it is missing.
    """
    if _is_remote(uri) or _has_stores():
        return
    given = "tracking_uri is not set" if uri is None else f"tracking_uri is {without_secrets(uri or DEFAULT)}"
    raise NotConfigured(
        f"mlflow: {given}, and a local store needs the package `mlflow`, but only mlflow-skinny is installed. "
        "Name a server with MLflowIntegration(tracking_uri=...) or MLFLOW_TRACKING_URI, or: pip install mlflow"
    )


def _is_remote(uri: str | None) -> bool:
    """Whether *uri* is that of a server, and not of a local store."""
    return uri is not None and (uri == "databricks" or _scheme(uri) in _SERVERS)


def _scheme(uri: str) -> str:
    return uri.partition(":")[0].partition("+")[0].lower() if ":" in uri else ""


def _is_of_a_plugin(scheme: str) -> bool:
    """Whether an installed package provides a store for *scheme*, by MLflow's entry points."""
    from importlib.metadata import entry_points

    return any(entry.name == scheme for entry in entry_points(group="mlflow.tracking_store"))


def _has_stores() -> bool:
    """Whether the full package, which alone can open databases, is installed; checked without importing it."""
    # Not `find_spec("mlflow.store.db")`, which would import all of mlflow.
    mlflow = importlib.util.find_spec("mlflow")
    places = mlflow.submodule_search_locations or [] if mlflow is not None else []
    return importlib.util.find_spec("sqlalchemy") is not None and any(Path(p, "store", "db").is_dir() for p in places)
