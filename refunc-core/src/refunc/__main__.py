"""`python -m refunc`: the command line."""

from __future__ import annotations

from refunc.cli import main

if __name__ == "__main__":
    main()
