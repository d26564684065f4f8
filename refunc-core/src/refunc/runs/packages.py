"""Optional packages, which refunc does not require."""

from __future__ import annotations

import importlib
from typing import Any

from refunc.runs.errors import PackageNeededError


def needed(
    package: str,
    call: str,
    instead: str = "to_dict() and to_rows() return the same data as plain Python.",
    *,
    install: str | None = None,
) -> Any:
    """
    Return the module *package*, which may be a part of one: `matplotlib.figure`.

    Args:
        instead: A sentence on the alternative without the package.
        install: The command that installs it; by default that for its own name.

    Raises:
        PackageNeededError: It is not installed; the text says that *call* needs it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        package = package.partition(".")[0]
        if error.name != package:
            raise
        raise PackageNeededError(
            f"{call} needs {package}, which is not installed ({install or f'pip install {package}'}). {instead}",
            name=package,
        ) from None
