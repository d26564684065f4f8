"""The packages of frameworks: importing an adapter without its framework says how to install it."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


@contextmanager
def imported_for(adapter: str, requirement: str, *modules: str) -> Iterator[None]:
    """
    Import a framework in the block, for the module *adapter*.

    Args:
        requirement: The argument for pip, with the oldest version that is known to work, as in `lightgbm>=4.4`.
        modules: The modules that the framework brings; default that of the package's name.

    Raises:
        ModuleNotFoundError: The framework is not installed; the text says how to install it.
        ImportError: The version that is installed lacks something that the adapter needs.
    """
    package, _, oldest = requirement.partition(">=")
    package = package.partition("[")[0]
    try:
        yield
    except (ImportError, AttributeError) as error:
        missing = str(error.name or "").partition(".")[0]
        found = _version(package)
        if missing in (modules or (package,)) and find_spec(missing) is None:
            raise ModuleNotFoundError(
                f'{adapter} needs {package}, which is not installed: pip install "{requirement}"', name=missing
            ) from None
        if found is not None and _numbers(found) < _numbers(oldest):
            raise ImportError(
                f"{adapter} needs {package} {oldest} or newer, and {found} is installed: "
                f'pip install --upgrade "{requirement}" ({error})',
                name=package,
            ) from error
        raise


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # installed in another way
        return None


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall("[0-9]+", version)]
