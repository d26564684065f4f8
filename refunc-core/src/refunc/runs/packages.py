"""Packages that a user may have and refunc does not require."""

from __future__ import annotations

import importlib
from typing import Any


class PackageNeededError(ModuleNotFoundError):
    """A call needs a package that is not installed."""


def needed(package: str, call: str) -> Any:
    """
    Return the module *package*.

    Raises:
        PackageNeededError: It is not installed; says that *call* needs it, and what does without.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise PackageNeededError(
            f"{call} needs {package}, which is not installed (pip install {package}). "
            "to_dict() and to_rows() give the same as plain Python.",
            name=package,
        ) from None
