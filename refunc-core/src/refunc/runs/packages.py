"""Packages that a user may have and refunc does not require."""

from __future__ import annotations

import importlib
from typing import Any


class PackageNeededError(ModuleNotFoundError):
    """A call needs a package that is not installed."""


def needed(package: str, call: str, instead: str = "to_dict() and to_rows() give the same as plain Python.") -> Any:
    """
    Return the module *package*.

    Args:
        instead: The sentence that says what does without.

    Raises:
        PackageNeededError: It is not installed; says that *call* needs it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise PackageNeededError(
            f"{call} needs {package}, which is not installed (pip install {package}). {instead}",
            name=package,
        ) from None
