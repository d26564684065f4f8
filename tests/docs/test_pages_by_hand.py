"""
Pages to be followed: in a clean environment, files they say to save are saved and lines they say to type are typed.

In their order, in one shell, without a network. A command has to print the lines that a page shows below it; `…` stands
for anything. A comment `<!-- not run: why -->` before a block exempts it.
"""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import venv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import attrs
import pytest

pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.extras]

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"^(?:Save this as `(?P<file>[^`\n]+)`:\n\n|<!-- (?P<mark>not run)[^\n]*-->\n)?"
    r"```(?P<kind>\w+)\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
#: Ends the output of a command.
END = "-- end of a command --"


@attrs.frozen
class Command:
    """A line to type, and the text shown below it."""

    line: str
    shown: str


def steps_of(page: Path) -> list[Command | tuple[str, str]]:
    """Return the commands of *page*, and the files with their text, in their order."""
    steps: list[Command | tuple[str, str]] = []
    for block in BLOCK.finditer(page.read_text("utf-8")):
        if block["file"]:
            steps.append((block["file"], block["text"]))
        elif block["kind"] == "console" and not block["mark"]:
            typed = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block["text"], re.MULTILINE)
            steps += [Command(line, shown) for line, shown in typed]
    return steps


@pytest.fixture
def clean(tmp_path: Path, require: Callable[[bool, str], None]) -> dict[str, str]:
    """
    Make an environment in which nothing of ours is installed, and return its variables.

    All that refunc needs is lent by the environment of the tests, for there is no network to install it from.
    """
    needed = ("pip", "hatchling", "editables", "mypy", "click")
    require(all(find_spec(name) is not None for name in needed), f"pip install {' '.join(needed)}")
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=True)
    [own] = folder.glob("lib/python*/site-packages")
    lent = tmp_path / "lent"
    lent.mkdir()
    for place in site.getsitepackages():
        for path in Path(place).iterdir():
            if not re.match(r"_*(editable_impl_)*refunc|.*\.pth$", path.name) and not (lent / path.name).exists():
                (lent / path.name).symlink_to(path)
    (own / "lent.pth").write_text(f"{lent}\n")
    programs = folder / "bin"
    for name in ("pip", "pytest", "mypy"):
        offline = '$([ "$1" = install ] && echo --quiet --no-index --no-build-isolation)' if name == "pip" else ""
        (programs / name).write_text(f'#!/bin/sh\nexec {programs}/python -m {name} "$@" {offline}\n')
        (programs / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTEST_", "PYTHON"))}
    return {
        **kept,
        "PYTEST_DEBUG_TEMPROOT": os.environ["PYTEST_DEBUG_TEMPROOT"],
        "PATH": f"{programs}{os.pathsep}{kept['PATH']}",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.mark.parametrize("page", ["docs/how-to/write-a-plugin.md", "docs/examples/refunc-jsonl/README.md"])
def test_the_page_works_as_it_is_written(page: str, clean: dict[str, str], tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("refunc-core", "refunc-commands", "docs"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    steps = steps_of(ROOT / page)
    script = "set -e\n"
    for step in steps:
        if isinstance(step, Command):
            script += f"{step.line}\necho; echo '{END}'\n"
        else:
            name, text = step
            script += f"mkdir -p $(dirname {name}); cat > {name} <<'END OF FILE'\n{text}END OF FILE\n"

    try:
        done = subprocess.run(["bash"], input=script, cwd=clone, env=clean, capture_output=True, text=True, timeout=250)
    except subprocess.TimeoutExpired as error:  # whose own text has a part of what was printed
        said = [text.decode("utf-8", "replace") for text in (error.stdout, error.stderr) if text]
        pytest.fail(f"the page is not over after {error.timeout} s. Until then:\n" + "\n".join(said))

    assert done.returncode == 0, done.stdout + done.stderr
    commands = [step for step in steps if isinstance(step, Command)]
    assert commands
    for command, printed in zip(commands, done.stdout.split(END), strict=False):
        for line in command.shown.splitlines():
            pattern = ".*".join(map(re.escape, line.split("…")))
            assert re.search(f"^{pattern}$", printed, re.MULTILINE), f"$ {command.line}\n{printed}"
