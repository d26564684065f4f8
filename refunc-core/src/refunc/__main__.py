"""`python -m refunc`: the command line, which is the distribution refunc-commands."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say how to get it."""
    try:
        from refunc_commands.cli import main as run
    except ModuleNotFoundError as error:
        if error.name != "refunc_commands":
            raise
        from refunc.plugins.discovery import how_to_install

        print(f"refunc: the command line is not installed. {how_to_install()}", file=sys.stderr)
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
