"""The tree names no machine and no package index, and has no lock file."""

import re
import subprocess
from pathlib import PurePosixPath

import pytest

# Written so that this file does not find itself.
MACHINE_PATHS = re.compile(r"(?<![\w.$}-])/(?:hom[e]|roo[t]|User[s]|tm[p]|wor[k]|farm)/")
INDEX_ADDRESSES = re.compile(
    r"https?://[^\s/]*(?:pyp[i]\.|pythonhoste[d]|registr[y])|https?://\S+/simpl[e]\b|--(?:extra-)?inde[x]-url"
)
OUTSIDE = re.compile(r"\.\./share[d]\b")
LOCK_FILES = {"uv.lock", "pylock.toml", "poetry.lock"}


@pytest.fixture(scope="module")
def tracked(root):
    """Every file that is or would be committed, so that a slip is found before the commit and not after."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(listing, cwd=root, capture_output=True, text=True, timeout=60)
    if run.returncode:
        pytest.skip("not a git checkout")
    return [root / name for name in run.stdout.split("\0") if name and (root / name).is_file()]


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATHS, INDEX_ADDRESSES, OUTSIDE], ids=["machine paths", "index addresses", "outside the tree"]
)
def test_no_file_names_the_machine_it_was_written_on(root, tracked, pattern):
    found = []
    for path in tracked:
        content = path.read_bytes()
        if b"\0" in content:
            continue
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(root)}:{number}: {line.strip()}")

    assert found == []


def test_no_lock_file_is_tracked(tracked):
    """They record the address of the index that they were resolved from."""
    assert not [path for path in tracked if PurePosixPath(path).name in LOCK_FILES]
