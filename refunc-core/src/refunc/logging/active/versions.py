"""
The code that a run is made with: the commit of its repository, and the versions of packages that are loaded.

Both are read from files and from memory, within bounds. No process is started, nothing is imported, and what cannot be
told is left out: neither takes more than a moment of a training's start, or ends it.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Final

from refunc.journal.opening import read_whole
from refunc.values.texts import text

#: The packages that trainings are made with, by the names of their modules.
PACKAGES: Final = (
    *("torch", "torchvision", "torchaudio", "torchmetrics", "lightning", "pytorch_lightning", "transformers"),
    *("accelerate", "datasets", "diffusers", "peft", "trl", "deepspeed", "timm", "composer", "torchtune", "ignite"),
    *("tensorflow", "keras", "jax", "jaxlib", "flax", "optax", "sklearn", "xgboost", "lightgbm", "catboost"),
    *("ray", "optuna", "numpy", "scipy", "pandas", "polars", "pyarrow", "triton", "xformers", "flash_attn"),
)
_LONGEST_VERSION: Final = 100
#: Folders above a script that are looked at.
_HIGHEST: Final = 30
#: Digits of a hash of git, by SHA-1 and by SHA-256.
_LENGTHS: Final = (40, 64)
#: Bytes of a small file of git, and of the one that has all branches: a hundred thousand.
_SMALL: Final = 4_096
_PACKED: Final = 8 << 20


def packages() -> dict[str, str]:
    """Return the versions of the packages that this process has loaded; no module is asked for what it has not."""
    found = {}
    for name in PACKAGES:
        version = getattr(sys.modules.get(name), "__dict__", {}).get("__version__")
        if isinstance(version, str):
            found[name] = text(version, _LONGEST_VERSION)
    return found


@cache
def commit() -> str | None:
    """Return the commit of the script's repository, else of the one that this process is in; None if there is none."""
    script = sys.argv[0] if sys.argv else ""
    try:
        places = [os.path.dirname(os.path.realpath(script)) if os.path.isfile(script) else "", os.getcwd()]
    except Exception:  # a folder that is gone, or an argument that is no path
        return None
    return next((found for place in places if place and (found := commit_of(place)) is not None), None)


def commit_of(folder: str) -> str | None:
    """Return the commit that the repository of *folder* is at; None if it is in none, or that cannot be told."""
    try:
        for _ in range(_HIGHEST):
            if os.path.lexists(f"{folder}/.git"):
                return _commit_in(f"{folder}/.git")
            folder, below = os.path.dirname(folder), folder
            if folder == below:
                break
    except Exception:  # no permission, another form of repository, no descriptor left: any reason is as good
        pass
    return None


def _commit_in(git: str) -> str | None:
    """Return the commit of a repository whose `.git` is *git*. Raises OSError, ValueError if it cannot be told."""
    if not os.path.isdir(git):  # of a worktree, or of a submodule
        git = os.path.join(os.path.dirname(git), _small(git).removeprefix("gitdir: "))
    head = _small(f"{git}/HEAD")
    if not head.startswith("ref: "):
        return _checked(head)
    name = head.removeprefix("ref: ")
    if not name.startswith("refs/") or ".." in name:  # git has no such branch, whose name is a path
        return None
    shared = f"{git}/commondir"
    common = os.path.join(git, _small(shared)) if os.path.exists(shared) else git
    for place in (git, common):
        if os.path.exists(f"{place}/{name}"):
            return _checked(_small(f"{place}/{name}"))
    packed = read_whole(f"{common}/packed-refs", _PACKED)
    end = packed.find(f" {name}\n".encode())
    return _checked(packed[packed.rfind(b"\n", 0, end) + 1 : end].decode("ascii")) if end > 0 else None


def _small(path: str) -> str:
    return read_whole(path, _SMALL).decode().strip()


def _checked(found: str) -> str | None:
    return found if len(found) in _LENGTHS and not found.strip("0123456789abcdef") else None
