"""
The command line `refunc`: the entry point, and what it says where its extra is not installed.

Nothing that a training script imports imports this.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit: 0; 2 with one line on stderr for what the user can put right."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(_say("the command line needs click and rich. Install the extra `cli` of refunc-core."))
    from refunc.cli.root import refunc

    refunc(prog_name="refunc")


def _say(message: str) -> int:
    print(f"refunc: {message}", file=sys.stderr)
    return 2
