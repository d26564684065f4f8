"""`refunc plugins new`: a distribution that installs, is found, and passes its own tests as it is; or one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.once, pytest.mark.extras]

Require = Callable[[bool, str], None]


def python(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, which finds no proxy, no configuration and no index."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env={**kept, **environ}, capture_output=True, text=True, timeout=250
    )


@pytest.fixture
def made(invoke: Any, own_folder: Path) -> Path:
    result = invoke("plugins", "new", "my-tracker")
    assert (result.exit_code, result.stderr) == (0, "")
    return own_folder / "refunc-my-tracker"


def test_it_says_what_it_made_and_what_comes_next(invoke: Any, own_folder: Path) -> None:
    result = invoke("plugins", "new", "acme", "--dir", "my code/of mine")

    folder = own_folder / "my code/of mine/refunc-acme"
    lines = result.stdout.splitlines()
    assert (result.exit_code, lines[1]) == (0, "  cd 'my code/of mine/refunc-acme'")
    assert lines[0].startswith("my code/of mine/refunc-acme: ")
    assert "no license yet" in lines[-1]
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        ".github/workflows/tests.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "src/refunc_acme/__init__.py",
        "src/refunc_acme/py.typed",
        "tests/test_acme.py",
    ]


def test_nothing_is_left_to_fill_in_and_no_stranger_is_required(made: Path, own_folder: Path) -> None:
    for path in made.rglob("*.*"):
        if path.is_file():
            text = path.read_text("utf-8")
            assert not re.search(r"\$(?!\{\{|\s)", text), path
            assert str(own_folder) not in text
    project = (made / "pyproject.toml").read_text("utf-8")
    assert 'dependencies = ["refunc-core>=2.0,<3"]' in project
    assert [name for name in re.findall(r'"(refunc[^"]*)"', project) if not re.match("refunc[-_.]", name)] == []
    readme = (made / "README.md").read_text("utf-8")
    prose = re.sub(r"^```.*?^```", "", readme, flags=re.MULTILINE | re.DOTALL)
    assert [line for line in prose.splitlines() if re.search(r"[a-z`)][.?!] [A-Z`]", line)] == []


@pytest.mark.slow
def test_installed_it_is_found_and_passes_its_own_tests(made: Path, own_folder: Path, require: Require) -> None:
    require(find_spec("pip") is not None and find_spec("hatchling") is not None, "pip install pip hatchling")
    site = own_folder / "site"
    install = ("-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(site))
    done = python(*install, "--disable-pip-version-check", str(made), cwd=own_folder)
    assert done.returncode == 0, done.stderr

    listed = python("-m", "refunc", "plugins", "--json", cwd=own_folder, PYTHONPATH=str(site))
    tested = python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=made, PYTHONPATH=str(site))

    [facts] = [each for each in json.loads(listed.stdout) if each["name"] == "my-tracker"]
    assert (facts["state"], facts["class"], facts["version"]) == ("not configured", "MyTrackerIntegration", "0.1.0")
    assert [(option["name"], option["env"], option["required"], option["secret"]) for option in facts["options"]] == [
        ("url", "MY_TRACKER_URL", True, False),
        ("token", "MY_TRACKER_TOKEN", False, True),
        ("timeout", None, False, False),
    ]
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"^\d\d passed in", tested.stdout, re.MULTILINE), "something was skipped"


@pytest.mark.slow
def test_it_is_well_typed(made: Path, require: Require) -> None:
    require(find_spec("mypy") is not None, "pip install mypy")

    done = python("-m", "mypy", cwd=made, MYPYPATH="src")

    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 2 source files\n")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Acme", r"'Acme' is not a valid plugin name\. Expected: .* Did you mean acme\?"),
        ("AcmeIntegration", r".* Did you mean acme\?"),
        ("my_tracker", r".* Did you mean my-tracker\?"),
        ("../../acme", r".* Did you mean acme\?"),
        ("a--b", r"'a--b' is not a valid plugin name\. .*"),
        ("3d", r"'3d' is not a valid plugin name\. Expected: [^?]*"),
        ("", r"'' is not a valid plugin name\. .*"),
        ("\x1b[31m", r"'\\x1b\[31m' is not a valid plugin name\. .*"),
        ("a" * 31, r".* 30 at most\..*"),
        ("refunc-acme", r"'refunc-acme': leave out `refunc-`, which is added to the name\. Did you mean acme\?"),
        ("class", r"'class' is a keyword of Python.*"),
        ("core", r"the name 'core' is taken by refunc-core\. .*"),
        ("mlflow", r"the name 'mlflow' is taken by refunc-mlflow\. .*"),
        ("fine", r"the name 'fine' is taken by plug-fine\. .*"),
    ],
)
def test_a_name_that_will_not_do_is_told(
    name: str, says: str, invoke: Any, install: Callable[..., Path], own_folder: Path
) -> None:
    install("fine")
    before = sorted(own_folder.rglob("*"))

    result = invoke("plugins", "new", "--", name)

    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(f"refunc: {says}\n", result.stderr), result.stderr
    assert sorted(own_folder.rglob("*")) == before


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_there_is_left_alone(kind: str, invoke: Any, own_folder: Path) -> None:
    folder = own_folder / "refunc-acme"
    if kind == "folder":
        folder.mkdir()
    elif kind == "file":
        folder.write_text("mine")
    else:
        folder.symlink_to("nowhere")

    result = invoke("plugins", "new", "acme")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"refunc: {folder} exists already. Nothing was written")
    assert [path.name for path in own_folder.iterdir()] == ["refunc-acme"]
    assert not folder.is_dir() or list(folder.iterdir()) == []


def test_a_place_where_no_folder_can_be_made_is_one_line(invoke: Any, own_folder: Path) -> None:
    (own_folder / "file").touch()

    result = invoke("plugins", "new", "acme", "--dir", "file")

    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"refunc: .*/file/refunc-acme cannot be created: Not a directory\. .*\n", result.stderr)
