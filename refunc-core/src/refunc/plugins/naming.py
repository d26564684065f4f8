"""The name of an integration in messages, in files, and on the command line."""

from __future__ import annotations

from refunc.values.names import slug


def name_of(integration: object) -> str:
    """Return the name of an integration, or of its class: lower-case, safe as a file name."""
    kind = integration if isinstance(integration, type) else type(integration)
    given = getattr(integration, "name", "")
    return called(given if isinstance(given, str) else "", kind.__name__)


def called(given: str, class_name: str) -> str:
    """Return the name of an integration whose `name` is *given*, or "", and whose class is *class_name*."""
    return slug((given or class_name.removesuffix("Integration") or class_name).lower(), "integration")
