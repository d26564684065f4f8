"""The eight distributions, as their pyproject files describe them."""

import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
OWN = ("refunc-core", "refunc-commands", "refunc-ui")
FOLDERS = (".", *OWN, "refunc-mlflow", "refunc-wandb", "refunc-prometheus", "refunc-slack")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def projects() -> dict[str, dict[str, Any]]:
    """The `[project]` table of each distribution, by its name."""
    tables = [tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))["project"] for folder in FOLDERS]
    return {table["name"]: table for table in tables}


@pytest.fixture(scope="session")
def plugins(projects: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The plugins' tables, by the key that names extra, entry point and package alike."""
    return {name.removeprefix("refunc-"): table for name, table in projects.items() if name not in ("refunc", *OWN)}
