"""Files under the names that they are to have at the tracker."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def called(source: Path, name: str) -> Generator[Path, None, None]:
    """Give the file *source* as one with this *name*: MLflow's client uploads a file under its own, here a hash."""
    with tempfile.TemporaryDirectory() as draft:
        named = Path(draft, name)
        try:
            named.symlink_to(source.absolute())
        except OSError:  # Windows without the right to link
            shutil.copyfile(source, named)
        yield named
